"""`ksm-analyze convert`: captured dumps, as a trace."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.options import LABELS, PATH, seed_of, seed_options
from analyzer.cli.signals import ending_on_signals
from traces.errors import UsageError

if TYPE_CHECKING:
    from traces.dumps.conversion import Conversion

FORMATS: Final = (
    "elf", "criu", "kdump", "lime", "qemu", "libvirt", "qcow2", "table",
    "cloud-hypervisor", "firecracker", "raw", "umass",
)  # fmt: skip
"""`traces.dumps.FORMATS`, spelled again so that help stays fast."""


@click.command("convert")
@click.argument("sources", nargs=-1, required=True, metavar="[NAME=]DUMP...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=PATH,
    help="The trace to write.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="What the dumps are, where they do not tell: raw is memory without a header, "
    "umass a memory trace of Memory Buddies.",
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="COLUMN=NAME,...",
    help="What a table of digests calls its columns: digest=md5,process=comm.",
)
@click.option(
    "--zero-digest",
    default="",
    metavar="HEX",
    help="What a table's hash makes of 4096 zero bytes, where it is not a common one.",
)
@click.option(
    "--delimiter",
    default=",",
    metavar="CHAR",
    show_default=True,
    help="What separates the fields of CSV; tab is a tab.",
)
@click.option(
    "--no-header",
    is_flag=True,
    help="The first line of CSV is a page; the columns are called 1, 2, 3 …",
)
@click.option(
    "--header-bytes",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Bytes before the hashes of --format umass.",
)
@click.option(
    "--trailer-bytes",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Bytes behind them.",
)
@click.option(
    "--label-by",
    type=click.Choice(LABELS),
    default="auto",
    show_default=True,
    help="What workloads without a NAME are named after, as by capture.",
)
@click.option(
    "--strict", is_flag=True, help="Refuse a truncated dump, instead of what is left."
)
@seed_options
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Dumps read at a time.  [default: one per CPU]",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(
    sources: tuple[str, ...],
    output: Path,
    form: str | None,
    jobs: int | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Make a trace of dumps, each known by what is in it, whatever it is called.

    NAME= names the workload or the virtual machine of a dump. Several dumps make one
    trace, so that what they share shows; FILE+FILE is one dump of several files.
    Compressed ones (zstd, lz4, gzip, xz, bzip2) are read as they are; so are tar
    archives of one dump, and folders of CRIU's images.

    No page content is stored. What a dump cannot tell, such as a page of zeros from
    one that was never touched, is said, and marked in the trace.
    """
    seed = seed_of(options)
    form = _form(form, options)

    from analyzer.cli.output import check_writable
    from traces.dumps.conversion import Conversion, Named, Settings
    from traces.dumps.layout import Layout

    dumps = [Named.parse(text) for text in sources]
    check_writable(output, *(path for dump in dumps for path in dump.paths))
    settings = Settings(
        seed=seed,
        private=options["private"],
        label_by=options["label_by"],
        form=form,
        strict=options["strict"],
        jobs=jobs or len(os.sched_getaffinity(0)),
        layout=Layout.asked(
            maps=options["maps"],
            zero_digest=options["zero_digest"],
            delimiter=options["delimiter"],
            header=not options["no_header"],
            header_bytes=options["header_bytes"],
            trailer_bytes=options["trailer_bytes"],
        ),
    )
    conversion = Conversion(dumps, settings)
    began = time.monotonic()
    with ending_on_signals(), contextlib.closing(conversion.write(output)) as steps:
        for _ in _with_progress(steps, conversion.total, quiet):
            pass
    if not quiet:
        _summarise(conversion, output, time.monotonic() - began)
    return 0


def _form(form: str | None, options: Mapping[str, Any]) -> str | None:
    """The format asked for; what only tables know asks for one.

    Raises UsageError for options of another format.
    """
    of_table = options["maps"] or options["no_header"] or options["delimiter"] != ","
    of_umass = options["header_bytes"] or options["trailer_bytes"]
    if of_table and form not in (None, "table"):
        raise UsageError(f"--map, --delimiter and --no-header are not of {form} dumps")
    if of_umass and form != "umass":
        raise UsageError("--header-bytes and --trailer-bytes are of --format umass")
    if options["zero_digest"] and form not in (None, "table", "umass"):
        raise UsageError(f"--zero-digest is not of {form} dumps")
    return form or ("table" if of_table or options["zero_digest"] else None)


def _with_progress(steps: Iterator[int], total: int, quiet: bool) -> Iterator[int]:
    if quiet or not sys.stderr.isatty():
        yield from steps
        return
    before = 0
    with click.progressbar(length=total, label="converting", file=sys.stderr) as bar:
        for done in steps:
            bar.update(done - before)
            before = done
            yield done


def _summarise(conversion: "Conversion", output: Path, seconds: float) -> None:
    from analyzer.cli.narration import note
    from analyzer.report.units import bytes_text, count_text, left_out, pages_text
    from traces.trace import Trace

    for done in conversion.converted:
        account = done.account
        absent = f", {count_text(account.absent)} absent" if account.absent else ""
        note(
            f"{done.path}: {done.format}, {count_text(account.pages)} pages{absent}, "
            f"{count_text(done.rows)} of them in the trace"
        )
        for why, count in account.skipped.items():
            if count:
                note(f"skipped: {left_out(count, why)}")
    rows = sum(done.rows for done in conversion.converted)
    note(
        f"{output}: {count_text(rows)} pages ({pages_text(rows)}), "
        f"{bytes_text(output.stat().st_size)} in {seconds:.1f} s"
    )
    for sentence in Trace.open(output).facts.limits:
        note(f"limit: {sentence}")
