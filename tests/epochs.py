"""What a trace of several epochs says was there in each, and whether it is frugal."""

from pathlib import Path
from typing import Any

import numpy as np

from traces.schema import PageFlag, Pages
from traces.trace import Trace

State = dict[tuple[int, int, int], tuple[int, ...]]
"""(pid, start_ticks, vpn) → digest, frame, folio, KSM flag."""


def rows_of(trace: Trace, epoch: int) -> list[dict[str, int]]:
    columns = ["epoch", *Pages._fields]
    return [
        dict(zip(Pages._fields, values, strict=True))
        for chunk in trace.chunks(Pages._fields, epoch)
        for values in zip(*(chunk[name].tolist() for name in columns[1:]), strict=True)
    ]


def states(path: Path) -> list[State]:
    """The pages of every epoch, put together from the differences; asserts that no row
    says what was known already, and none that of no page a page is gone."""
    trace = Trace.open(path)
    mappings, processes = trace.mappings.to_dicts(), trace.processes.to_dicts()
    check_tables(mappings, processes)
    seen: list[State] = []
    now: dict[tuple[int, int], tuple[int, ...]] = {}
    for epoch in range(trace.epochs.height):
        now = {
            (mapping, vpn): value
            for (mapping, vpn), value in now.items()
            if mappings[mapping]["last_epoch"] >= epoch
        }
        for row in rows_of(trace, epoch):
            mapping = mappings[row["mapping"]]
            assert mapping["first_epoch"] <= epoch <= mapping["last_epoch"]
            assert 0 <= row["vpn"] - mapping["start_vpn"] < mapping["pages"]
            key = row["mapping"], row["vpn"]
            if row["flags"] & PageFlag.ABSENT:
                assert epoch > 0
                left = row["digest"], row["frame"], row["folio"], row["nid"]
                assert left == (0, -1, -1, -1)
                del now[key]
                continue
            ksm = row["flags"] & PageFlag.KSM
            value = row["digest"], row["frame"], row["folio"], ksm
            assert now.get(key) != value, "said again"
            now[key] = value
        seen.append(
            {
                (process["pid"], process["start_ticks"], vpn): value
                for (mapping, vpn), value in now.items()
                for process in [processes[mappings[mapping]["process"]]]
            }
        )
        assert len(seen[-1]) == len(now), "a page of two mappings at once"
    return seen


def check_tables(
    mappings: list[dict[str, Any]], processes: list[dict[str, Any]]
) -> None:
    order = [(p["start_ticks"], p["pid"], p["first_epoch"]) for p in processes]
    assert order == sorted(order)
    places = [(m["process"], m["start_vpn"], m["first_epoch"]) for m in mappings]
    assert places == sorted(places)
    for mapping in mappings:
        process = processes[mapping["process"]]
        assert process["first_epoch"] <= mapping["first_epoch"]
        assert mapping["first_epoch"] <= mapping["last_epoch"] <= process["last_epoch"]


def numbered(states: list[State]) -> list[State]:
    """The same with frames and folios numbered as they come, so that captures can be
    compared that numbered them otherwise."""
    frames: dict[int, int] = {-1: -1}
    folios: dict[int, int] = {-1: -1}
    return [
        {
            key: (
                digest,
                frames.setdefault(frame, len(frames)),
                folios.setdefault(folio, len(folios)),
                ksm,
            )
            for key, (digest, frame, folio, ksm) in sorted(state.items())
        }
        for state in states
    ]


def pages(vpns: list[int], **columns: Any) -> Pages:
    """Pages of `Changes.add_pages`; digests are the vpns unless given."""
    count = len(vpns)
    given = {
        "digest": np.array(columns.get("digest", vpns), np.int64),
        "frame": np.array(columns.get("frame", [-1] * count), np.int64),
        "folio": np.array(columns.get("folio", [-1] * count), np.int32),
        "flags": np.array(columns.get("flags", [0] * count), np.uint16),
    }
    return Pages(
        mapping=np.zeros(count, np.int32),
        vpn=np.array(vpns, np.int64),
        nid=np.zeros(count, np.int8),
        **given,
    )
