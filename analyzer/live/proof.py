"""The model proved on this host: processes are captured and replayed, the real ksmd
scans them, and after every full scan both are asked for every figure."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from analyzer.host import Host
from analyzer.knobs import KsmKnobs
from analyzer.live import taping
from analyzer.live.afterwards import unwinding
from analyzer.live.agreement import Proof, Row
from analyzer.live.ksmd import (
    Ksmd,
    exclusively,
    require_ksmd,
    standing,
    use_by_others,
)
from analyzer.live.model import Captured, Model, model_of, read
from analyzer.live.programs import builtin, stopped, unlike_any_other
from analyzer.live.subjects import held_still
from analyzer.live.taping import Said
from analyzer.profile import chosen_profile, profile_of
from traces.capture import procfs
from traces.capture.live import Capture, Settings
from traces.capture.procfs import Gone
from traces.capture.select import Selection, select
from traces.errors import InputError
from traces.table import replacing


class _Stage(NamedTuple):
    """Processes that stand still, and a ksmd that waits."""

    ksmd: Ksmd
    pids: list[int]
    alone: bool
    """Every page that ksmd has is one of theirs."""


def prove(
    pids: Sequence[int] | None,
    knobs: KsmKnobs,
    full_scans: int,
    record: Path | None,
    even_if_in_use: bool,
) -> Proof:
    """Let this machine's ksmd and the model scan the same pages, and compare.

    The pages are those that *pids* have offered to KSM, or without them those of
    programs that are started for it. *pids* are stopped meanwhile (SIGSTOP), and what
    is merged of them is un-merged first and afterwards. *knobs* are set for as long
    as it takes, but for the pace. The run is written to *record* as a recording.

    Where KSM is in use nothing is done, unless *even_if_in_use*: then the host's
    settings stay but for the pace, nothing is un-merged, and only figures of
    processes of our own are compared, whose pages nobody else can have.

    Raises InputError where there is no KSM, ksmd cannot be had, or a process is not
    there or not offered; OutputError where something could not be written or put
    back. Whatever happens, all settings are put back as they were.
    """
    require_ksmd()
    profile = chosen_profile(None, os.uname().release)
    knobs = _without_pace(knobs)
    with unwinding(), exclusively(), ExitStack() as stack:
        used = use_by_others(pids or ())
        if used and not even_if_in_use:
            raise InputError(
                used, "only where nobody uses ksmd can all figures be compared"
            )
        if used and pids:
            raise InputError(
                f"{used}: what it has done with the pages of others, and of the "
                "processes named, cannot be seen, so nothing can be compared",
                "without --pid, processes of our own are compared",
            )
        if used:
            knobs = _without_pace(KsmKnobs.from_sysfs())
            stage = stack.enter_context(_among_others())
        else:
            stage = stack.enter_context(_alone(pids, knobs))
        captured = _captured(stage)
        model = model_of(captured, knobs, profile)
        rows, said = _side_by_side(stage, captured.host, model, full_scans)
    if record is not None:
        _write(record, captured, knobs, said)
    return Proof(
        kernel=os.uname().release,
        profile=profile.name,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        knobs=standing(knobs),
        full_scans=full_scans,
        processes=tuple(_names(captured.host)),
        pages=int(captured.offered.sum()),
        rows=tuple(rows),
        notes=tuple(_notes(captured.host, knobs, used)),
    )


@contextmanager
def _alone(pids: Sequence[int] | None, knobs: KsmKnobs) -> Iterator[_Stage]:
    subjects = held_still(pids) if pids else stopped(builtin())
    with subjects as still, Ksmd(knobs) as ksmd:
        yield _Stage(ksmd, still, alone=True)


@contextmanager
def _among_others() -> Iterator[_Stage]:
    with Ksmd(alone=False) as ksmd:
        # Who comes while a scan is under way is left out of it, so let it end first.
        ksmd.full_scan()
        ksmd.rest()
        with stopped(unlike_any_other()) as still:
            yield _Stage(ksmd, still, alone=False)


def _captured(stage: _Stage) -> Captured:
    with tempfile.TemporaryDirectory(prefix="ksm-analyze-") as folder:
        path = Path(folder) / "trace.parquet"
        chosen = select(Selection(pids=frozenset(stage.pids)))
        for _ in Capture(chosen, Settings()).write(path):
            pass
        captured = read(path)
    if captured.host.processes.height < len(stage.pids):
        raise InputError("not all processes could be captured")
    return captured


def _side_by_side(
    stage: _Stage, host: Host, model: Model, full_scans: int
) -> tuple[list[Row], list[Said]]:
    rows: list[Row] = []
    said: list[Said] = []
    whose = ["", *_names(host)]
    for number in range(1, full_scans + 1):
        stage.ksmd.full_scan()
        model.full_scan()
        machine = stage.ksmd.counters() if stage.alone else {}
        processes = [_stat(stage.ksmd, pid) for pid in host.processes["pid"]]
        said.append((machine, processes))
        for name, kernel, simulated in zip(
            whose,
            [machine, *processes],
            [model.counters(), *model.processes()],
            strict=True,
        ):
            rows += [
                Row(number, figure, name, value, simulated[figure])
                for figure, value in kernel.items()
                if figure in simulated
            ]
    return rows, said


def _stat(ksmd: Ksmd, pid: int) -> dict[str, int]:
    """Raises InputError where *pid* has ended since it was captured."""
    try:
        procfs.start_ticks(pid)
    except Gone as error:
        raise InputError(f"process {pid} has exited") from error
    return ksmd.process(pid)


def _names(host: Host) -> list[str]:
    comms = host.processes["comm"].to_list()
    return [f"P{number} {comm}" for number, comm in enumerate(comms)]


def _without_pace(knobs: KsmKnobs) -> KsmKnobs:
    """Both sides make whole scans; how many wake-ups they take is of no account."""
    return KsmKnobs.from_files({name: str(n) for name, n in standing(knobs).items()})


def _notes(host: Host, knobs: KsmKnobs, used: str | None) -> Iterator[str]:
    try:
        profile_of(os.uname().release)
    except InputError as error:
        yield f"{error}; simulated is the newest that is known"
    if used:
        yield (
            f"{used}: only figures of processes started for the proof were compared, "
            "under the host's own settings; the machine's figures hold pages of others"
        )
    zero = host.zero_rows()
    if host.folio is not None and knobs.use_zero_pages and zero[host.folio >= 0].any():
        yield (
            "zero pages lie in huge pages: in the scan that splits one, a few pages "
            "may merge a scan later in the kernel than in the model, which has no "
            "bytes to sort them by"
        )


def _write(
    record: Path, captured: Captured, knobs: KsmKnobs, said: Sequence[Said]
) -> None:
    processes = taping.snapshot(*captured)
    settings = standing(knobs)
    document = taping.recording(os.uname().release, settings, processes, said)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n")
