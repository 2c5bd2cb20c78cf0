"""Gauges of many sources, under names that none of their own expositions uses."""

from collections.abc import Iterator

from analyzer.report.batch.entry import Batch
from analyzer.report.layout import Layout
from analyzer.report.openmetrics import Family, Sample, exposition, seconds
from traces.schema import PAGE_SIZE


def openmetrics(batch: Batch, _: Layout) -> str:
    """An exposition of *batch*; every sample has the label `source`."""
    return exposition(_families(batch))


def _families(batch: Batch) -> Iterator[Family]:
    yield _figure(batch, "trace_pages", "Pages in the capture.", "pages")
    yield _figure(
        batch, "offered_bytes", "Memory offered to ksmd.", "pages_offered", PAGE_SIZE
    )
    yield _by_kind(
        batch,
        "saved_bytes",
        "Physical memory that comes free; each source is replayed alone.",
        "pages_saved",
    )
    yield _by_kind(
        batch,
        "ideal_saved_bytes",
        "What a merger without any limit would save on the same pages.",
        "ideal_saved",
    )
    yield _by_kind(
        batch,
        "saved_at_most_bytes",
        "The ideal, whatever the capture cannot tell.",
        "pages_saved",
        "_at_most",
    )
    yield Family(
        "source_saved_at_least",
        "1 where savings are the least there can be.",
        [({"source": one.source}, int(one.at_least)) for one, _ in batch.good],
    )
    yield _figure(
        batch,
        "general_profit_bytes",
        "The kernel's general_profit at the end.",
        "general_profit",
    )
    yield Family(
        "source_ksmd_cpu_seconds",
        "CPU time of ksmd until the end.",
        [
            ({"source": one.source}, seconds(of.estimated_cpu_ns))
            for one, of in batch.good
        ],
        estimate=True,
    )
    yield _figure(
        batch,
        "full_scans_to_95_percent",
        "Full scans until 95 percent of the final merging was done.",
        "full_scans_to_95_percent",
    )
    yield Family(
        "source_limits",
        "What the capture and its replay cannot tell.",
        [({"source": one.source}, len(one.limits)) for one, _ in batch.good],
    )
    yield Family(
        "source_truncated",
        "1 where part of the dump was missing.",
        [({"source": one.source}, int(one.truncated)) for one, _ in batch.good],
    )
    yield Family(
        "source_failed",
        "1 where there is no result.",
        [({"source": one.source}, int(one.figures is None)) for one in batch.entries],
    )


def _figure(batch: Batch, name: str, told: str, figure: str, scale: int = 1) -> Family:
    samples: list[Sample] = [
        ({"source": one.source}, getattr(of, figure) * scale)
        for one, of in batch.good
        if getattr(of, figure) is not None
    ]
    return Family(f"source_{name}", told, samples)


def _by_kind(
    batch: Batch, name: str, told: str, figure: str, bound: str = ""
) -> Family:
    samples: list[Sample] = [
        (
            {"source": one.source, "kind": kind},
            getattr(of, f"{figure}_{kind}{bound}") * PAGE_SIZE,
        )
        for one, of in batch.good
        for kind in ("zero", "nonzero")
    ]
    return Family(f"source_{name}", told, samples)
