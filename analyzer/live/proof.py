"""The model proved on this host: processes are captured and replayed, the real ksmd
scans them, and after every full scan both are asked for every figure."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.counters import process_profit
from analyzer.engine.kernel import full_scan
from analyzer.host import Host, load, open_traces
from analyzer.knobs import KsmKnobs
from analyzer.live import taping
from analyzer.live.afterwards import unwinding
from analyzer.live.agreement import Proof, Row
from analyzer.live.ksmd import Ksmd, exclusively, require_ksmd, use_by_others
from analyzer.live.programs import builtin, stopped, unlike_any_other
from analyzer.live.subjects import held_still
from analyzer.live.taping import Said
from analyzer.policy import MergePolicy, Offer
from analyzer.profile import profile_of
from analyzer.replay import Run
from traces.capture import procfs
from traces.capture.live import Capture, Settings
from traces.capture.procfs import Gone
from traces.capture.select import Selection, select
from traces.errors import InputError
from traces.table import replacing
from traces.trace import Trace

_MODEL: Final = "6.18"
"""The kernel whose ksmd `Run` simulates."""


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
            knobs = KsmKnobs.from_sysfs()
            stage = stack.enter_context(_among_others())
        else:
            stage = stack.enter_context(_alone(pids, knobs))
        model, vpn = _captured(stage, knobs)
        rows, said = _side_by_side(stage, model, full_scans)
    if record is not None:
        _write(record, model, vpn, said)
    return Proof(
        kernel=os.uname().release,
        profile=_MODEL,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        knobs=_settings(knobs),
        full_scans=full_scans,
        processes=tuple(_names(model.host)),
        pages=len(model.state.where),
        rows=tuple(rows),
        notes=tuple(_notes(model, used)),
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


def _captured(stage: _Stage, knobs: KsmKnobs) -> tuple[Run, npt.NDArray[np.int64]]:
    """The simulated ksmd before its first scan, and every row's page number."""
    with tempfile.TemporaryDirectory(prefix="ksm-analyze-") as folder:
        path = Path(folder) / "trace.parquet"
        chosen = select(Selection(pids=frozenset(stage.pids)))
        for _ in Capture(chosen, Settings()).write(path):
            pass
        model = Run(load(open_traces([path])), knobs, MergePolicy(Offer.CAPTURED))
        vpns = [chunk["vpn"] for chunk in Trace.open(path).chunks(["vpn"])]
    if model.host.processes.height < len(stage.pids):
        raise InputError("not all processes could be captured")
    return model, np.concatenate(vpns).astype(np.int64)


def _side_by_side(
    stage: _Stage, model: Run, full_scans: int
) -> tuple[list[Row], list[Said]]:
    rows: list[Row] = []
    said: list[Said] = []
    pids = model.host.processes["pid"].to_list()
    names = _names(model.host)
    for number in range(1, full_scans + 1):
        stage.ksmd.full_scan()
        full_scan(model.state, **model.settings())
        machine = stage.ksmd.counters() if stage.alone else {}
        processes = [_stat(stage.ksmd, pid) for pid in pids]
        said.append((machine, processes))
        counters = model.counters()._asdict()
        rows += [
            Row(number, name, "", value, counters[name])
            for name, value in machine.items()
        ]
        for name, kernel, figures in zip(
            names, processes, _figures(model), strict=True
        ):
            rows += [
                Row(number, figure, name, value, figures[figure])
                for figure, value in kernel.items()
                if figure in figures
            ]
    return rows, said


def _stat(ksmd: Ksmd, pid: int) -> dict[str, int]:
    """Raises InputError where *pid* has ended since it was captured."""
    try:
        procfs.start_ticks(pid)
    except Gone as error:
        raise InputError(f"process {pid} has exited") from error
    return ksmd.process(pid)


def _figures(model: Run) -> Iterator[dict[str, int]]:
    """Each process's /proc/PID/ksm_stat."""
    for items, merging, zero, _ in model.per_process().tolist():
        yield {
            "ksm_rmap_items": items,
            "ksm_merging_pages": merging,
            "ksm_zero_pages": zero,
            "ksm_process_profit": process_profit(merging, zero, items),
        }


def _names(host: Host) -> list[str]:
    comms = host.processes["comm"].to_list()
    return [f"P{number} {comm}" for number, comm in enumerate(comms)]


def _settings(knobs: KsmKnobs) -> dict[str, int]:
    """All knobs but the pace, which the driver sets."""
    pace = ("pages_to_scan", "sleep_millisecs")
    return {name: n for name, n in knobs.as_files().items() if name not in pace}


def _notes(model: Run, used: str | None) -> Iterator[str]:
    try:
        host = profile_of(os.uname().release).name
    except InputError as error:
        yield f"the model's ksmd is that of Linux {_MODEL}; {error}"
    else:
        if host != _MODEL:
            yield (
                f"this kernel's ksmd is that of Linux {host}; the model's, of "
                f"{_MODEL}, does some things differently"
            )
    if used:
        yield (
            f"{used}: only figures of processes started for the proof were compared, "
            "under the host's own settings; the machine's figures hold pages of others"
        )
    folio, zero = model.host.folio, model.host.zero_rows()
    if folio is not None and model.knobs.use_zero_pages and (zero & (folio >= 0)).any():
        yield (
            "zero pages lie in huge pages: in the scan that splits one, a few pages "
            "may merge a scan later in the kernel than in the model, which has no "
            "bytes to sort them by"
        )


def _write(
    record: Path, model: Run, vpn: npt.NDArray[np.int64], said: Sequence[Said]
) -> None:
    rows = model.rows if model.rows is not None else np.ones(model.host.rows, np.bool_)
    processes = taping.snapshot(model.host, vpn, rows)
    document = taping.recording(os.uname().release, model.knobs, processes, said)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n")
