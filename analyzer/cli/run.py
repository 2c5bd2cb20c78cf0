"""`ksm-analyze run`: a program offered to KSM that cannot do so itself."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import click

from analyzer.cli.narration import failure, note
from analyzer.knobs import SYSFS
from traces.errors import InputError, UsageError

if TYPE_CHECKING:
    from analyzer.live.watch import Tree, TreeFigures

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""What a shell exits with for a command it cannot find, or not start."""

_PASSED_ON: Final = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
    signal.SIGTSTP,
}
_SI_KERNEL: Final = 0x80
"""si_code of what a terminal sends, to the command as well (siginfo.h)."""


@click.command(
    "run",
    short_help="Run a program with its memory offered to KSM.",
    # Whatever follows the command's name is the command's own.
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--watch",
    is_flag=True,
    help="Print the kernel's figures of the command and its descendants as they "
    "change, on stderr.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(words: tuple[str, ...], watch: bool, interval: float) -> int:
    """Run COMMAND with PR_SET_MEMORY_MERGE set, which its children inherit.

    A program in a language without madvise can so be tried with KSM. It becomes
    COMMAND: signals, input, output and the exit code are the command's own.
    """
    if not words:
        raise UsageError("which command?", "ksm-analyze run -- COMMAND...")
    _require_kernel()
    _tell_whether_ksmd_runs()
    try:
        if watch:
            return _watched(words, interval)
        _become(words)
    except FileNotFoundError:
        failure(f"{words[0]}: command not found")
        return NOT_FOUND
    except OSError as error:
        failure(f"{words[0]}: {error.strerror}")
        return NOT_EXECUTABLE


def _require_kernel() -> None:
    from analyzer.live import offer

    release = os.uname().release
    if not SYSFS.is_dir():
        raise InputError(f"this kernel ({release}) has no KSM: there is no {SYSFS}")
    try:
        offer.offer()
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise InputError(f"PR_SET_MEMORY_MERGE: {error.strerror}") from error
        raise InputError(
            f"this kernel ({release}) cannot offer a whole process to KSM: "
            "PR_SET_MEMORY_MERGE came with Linux 6.4",
            "there a program must call madvise(MADV_MERGEABLE) itself",
        ) from error
    if not _survives_exec():
        raise InputError(
            f"this kernel ({release}) forgets PR_SET_MEMORY_MERGE when a program is "
            "executed; Linux 6.7 and later keep it"
        )


def _survives_exec() -> bool:
    from analyzer.live import offer

    asking = "import offer, sys; sys.exit(not offer.offered())"
    folder = os.path.dirname(offer.__file__)  # noqa: PTH120
    setup = f"import sys; sys.path.insert(0, {folder!r})\n"
    asked = [sys.executable, "-I", "-S", "-c", setup + asking]
    try:
        return subprocess.run(asked, check=False).returncode == 0
    except OSError:
        # Who may not execute this interpreter may well execute the command.
        return True


def _tell_whether_ksmd_runs() -> None:
    try:
        run = (SYSFS / "run").read_text().strip()
    except OSError:
        return
    if run != "1":
        note(
            f"ksmd is not running ({SYSFS}/run is {run}): nothing will merge until "
            f"root does `echo 1 > {SYSFS}/run`"
        )


def _become(words: Sequence[str]) -> NoReturn:
    # Python ignores these two, and what is ignored stays so over exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(words[0], list(words))


def _watched(words: Sequence[str], interval: float) -> int:
    from analyzer.live import offer
    from analyzer.live.watch import Tree

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *_PASSED_ON})
    try:
        child = subprocess.Popen(
            words,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),
        )
        # The offer was for the command; there is no point in merging this program.
        offer.offer(False)
        _attend(child, Tree(child.pid), interval)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = child.returncode
    return 128 - code if code < 0 else code


def _attend(child: "subprocess.Popen[bytes]", tree: "Tree", interval: float) -> None:
    """Until *child* has ended: pass signals on to it, and look every *interval*."""
    began = time.monotonic()
    due, shown = began, None
    while child.poll() is None:
        if time.monotonic() >= due:
            figures = tree.figures()
            if figures != shown:
                _show(figures, time.monotonic() - began, shown is None)
            due, shown = time.monotonic() + interval, figures
        patience = max(due - time.monotonic(), 0)
        seen = signal.sigtimedwait({signal.SIGCHLD, *_PASSED_ON}, patience)
        if seen is not None and seen.si_signo != signal.SIGCHLD:
            _pass_on(seen, child.pid)


def _pass_on(seen: signal.struct_siginfo, pid: int) -> None:
    if seen.si_code != _SI_KERNEL:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, seen.si_signo)
    if seen.si_signo == signal.SIGTSTP:
        # The shell waits for us to stop; its SIGCONT reaches both.
        os.kill(os.getpid(), signal.SIGSTOP)


def _show(figures: "TreeFigures", seconds: float, first: bool) -> None:
    row = "{:>8}  {:>9}  {:>14}  {:>17}  {:>14}  {:>18}"
    if first:
        note(row.format("seconds", *figures._fields))
    note(row.format(f"{seconds:.1f}", *(f"{value:,}" for value in figures)))
