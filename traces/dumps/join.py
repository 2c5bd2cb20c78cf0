"""Several traces of dumps → one, in that order."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from traces.errors import InputError, NotComparableError
from traces.schema import UNKNOWN, Facts, Pages
from traces.trace import Trace, joined
from traces.writer import TraceWriter


def join(parts: Sequence[Path], path: Path, dumps: Sequence[Path]) -> None:
    """Write the trace *path* of all processes of *parts*, made of *dumps*.

    Raises InputError where a part is of several epochs, NotComparableError where their
    digests were made differently, OutputError where *path* cannot be written.
    """
    traces = [Trace.open(part) for part in parts]
    for trace in traces:
        if trace.epochs.height > 1:
            raise InputError(
                f"{trace.path}: of several epochs, which have a clock of their own",
                hint="convert it alone",
            )
    _check_alike([trace.facts for trace in traces], dumps)
    with TraceWriter(path) as writer:
        writer.begin_epoch(0)
        processes, mappings = joined(traces)
        writer.announce(processes.to_dicts(), mappings.to_dicts())
        mapping = frame = 0
        for trace in traces:
            top = UNKNOWN
            for chunk in trace.chunks(Pages._fields):
                top = max(top, int(chunk["frame"].max(initial=UNKNOWN)))
                writer.add_pages(_moved(chunk, mapping, frame))
            mapping += trace.mappings.height
            frame += top + 1
        writer.end_epoch(0)
        writer.finish(_facts([trace.facts for trace in traces]))


def _check_alike(facts: Sequence[Facts], dumps: Sequence[Path]) -> None:
    first = facts[0]
    for other, dump in zip(facts, dumps, strict=True):
        for what in ("digest", "seed_id", "zero_digest"):
            ours, theirs = getattr(first, what), getattr(other, what)
            if ours != theirs:
                raise NotComparableError(
                    f"{dump}: {what} {theirs}, but {dumps[0]} has {ours}: their "
                    "contents cannot be compared",
                    hint="of tables of one hash, --map digest=md5 or --zero-digest "
                    "tells which it is",
                )


def _moved(chunk: dict[str, Any], mapping: int, frame: int) -> Pages:
    frames = chunk["frame"]
    return Pages(
        mapping=chunk["mapping"] + np.int32(mapping),
        vpn=chunk["vpn"],
        digest=chunk["digest"],
        frame=np.where(frames < 0, frames, frames + frame),
        folio=chunk["folio"],
        nid=chunk["nid"],
        flags=chunk["flags"],
    )


def _facts(facts: Sequence[Facts]) -> Facts:
    def each(name: str) -> str:
        found = (getattr(fact, name) for fact in facts)
        return " ".join(dict.fromkeys(filter(None, found)))

    first = facts[0]
    return Facts(
        host=each("host"),
        kernel=first.kernel if len({fact.kernel for fact in facts}) == 1 else "",
        captured_at=min(fact.captured_at for fact in facts),
        source=each("source"),
        tool=first.tool,
        zero_digest=first.zero_digest,
        seed_id=first.seed_id,
        digest=first.digest,
        label_by=first.label_by,
        skipped=dict(sum((Counter(fact.skipped) for fact in facts), Counter())),
        limits=list(dict.fromkeys(text for fact in facts for text in fact.limits)),
    )
