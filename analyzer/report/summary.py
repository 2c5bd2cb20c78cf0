"""What a result comes to, in sentences: the same words in every readable format."""

from collections.abc import Iterator
from typing import Final

from analyzer.expression.expression import Expression
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy, Offer, Uncertain
from analyzer.report.escape import printable
from analyzer.report.rows import fitting_sentence
from analyzer.report.units import (
    count_text,
    counted,
    duration_text,
    pages_text,
    share_text,
)
from analyzer.result import ReplayResult, TraceInfo
from analyzer.worth import (
    Cost,
    at_least,
    cost_of,
    counted_in,
    pages_offered,
    pages_saved,
    pages_saved_at_most,
    truncated,
)

_OFFERS: Final = {
    Offer.ALL: "every compatible mapping, as if all had called PR_SET_MEMORY_MERGE",
    Offer.CAPTURED: "only the mappings that were mergeable when captured",
    Offer.NONE: "nothing",
}


def stated(
    result: ReplayResult, by: str = "", where: Expression | None = None
) -> Iterator[tuple[str, str]]:
    """Label and sentence of everything that stands below the table *by*, of which
    only the rows that fit *where* are shown; escaped."""
    if where is not None:
        yield "filter", fitting_sentence(result, by, where)
    if by == "content":
        kept, all_of_them = result.contents.height, result.ideal.distinct_contents
        yield "contents", f"the {kept} that save most of {count_text(all_of_them)}"
    if pages_offered(result):
        yield "ideal", _ideal(result)
        yield "sharing", _sharing(result)
    split = result.savings.pages_saved_by_split
    if split:
        yield "split", f"{pages_text(split)} of zero pages by splitting huge pages"
    yield "offered", _offered(MergePolicy.parse(result.policy))
    yield "knobs", _knobs(result.knobs)
    yield "ksmd", _ksmd(result)
    yield "scans", _scans(result)
    if cost := _cost(result):
        yield "cost", cost
    yield "trace", _trace(result.trace)


def saved(result: ReplayResult) -> str:
    """What is saved, and whether that is the least."""
    told = pages_text(pages_saved(result))
    return f"at least {told}" if at_least(result) else told


def bounds(result: ReplayResult) -> list[tuple[str, str]]:
    """What the captures cannot tell, and the most it may save, as label and sentence;
    nothing where they tell all."""
    zero, other, shared = result.uncertainty[:3]
    told = uncertain_pages(zero, other)
    fork = [f"{counted(shared, 'page')} that fork may share"] if shared else []
    lines = []
    if counted_in(result):
        lines.append(("counted in", ", ".join(told)))
        told = []
    if told or fork:
        most = pages_text(pages_saved_at_most(result))
        if truncated(result):
            most += " of what is not missing"
        lines.append(("at most", f"{most}: {', '.join([*told, *fork])}"))
    return lines


def uncertain_pages(zero: int, other: int) -> list[str]:
    """What may not count of some pages, each kind in words; nothing of none."""
    return [
        f"{counted(pages, one)} that may {why}"
        for pages, one, why in (
            (zero, "zero page", "never have been touched"),
            (other, "page", "be of the file cache"),
        )
        if pages
    ]


def nothing_offered(result: ReplayResult) -> str:
    """Why there is nothing to show, and what would show something."""
    policy = MergePolicy.parse(result.policy)
    if kept_out := sum(result.uncertainty[:2]):
        return (
            f"nothing offered is sure to be there: {counted(kept_out, 'page')} kept "
            "out; try --uncertain count-in"
        )
    if policy == MergePolicy(Offer.CAPTURED):
        return (
            "nothing was offered to ksmd, as no mapping is known to have been "
            "mergeable; try --policy all"
        )
    if policy != MergePolicy():
        return f"nothing was offered to ksmd: the policy was {printable(str(policy))}"
    if result.trace.epochs > 1:
        return "no page is left at the end of the trace; see --by pass for its course"
    return "nothing was offered to ksmd: the trace holds no pages"


def _offered(policy: MergePolicy) -> str:
    """Who was asked for, in words."""
    added = [f"process {pid} with its descendants" for pid in policy.trees]
    if policy.opt_in:
        added.append(f"what fits {policy.opt_in}")
    said = _OFFERS[policy.offer]
    if added:
        more = ", and ".join(added)
        said = f"only {more}" if policy.offer is Offer.NONE else f"{said}, and {more}"
    if policy.opt_out:
        said += f", but not what fits {policy.opt_out}"
    if policy.uncertain is Uncertain.COUNT_IN:
        said += "; uncertain pages counted in"
    return printable(said)


def limits(result: ReplayResult) -> list[str]:
    """What keeps the figures from being the whole truth; escaped."""
    return [printable(text) for text in result.trace.limits]


def _ideal(result: ReplayResult) -> str:
    ideal = result.ideal
    most = ideal.pages_saved_zero + ideal.pages_saved_nonzero
    if not most:
        return "0 B: no two pages are equal"
    return (
        f"{pages_text(most)} (non-zero {pages_text(ideal.pages_saved_nonzero)}, "
        f"zero {pages_text(ideal.pages_saved_zero)}), "
        f"of which {share_text(pages_saved(result), most)} was reached"
    )


def _sharing(result: ReplayResult) -> str:
    sharing = result.sharing
    return (
        f"{pages_text(sharing.within_process)} within processes, "
        f"{pages_text(sharing.within_workload)} within workloads, "
        f"{pages_text(sharing.across_workloads)} across"
    )


def _knobs(knobs: KsmKnobs) -> str:
    usual = KsmKnobs().as_files()
    changed = [
        f"{name} {value}"
        for name, value in knobs.as_files().items()
        if value != usual[name]
    ]
    if not changed:
        return "the kernel's defaults"
    return f"{', '.join(changed)} (else the kernel's defaults)"


def _ksmd(result: ReplayResult) -> str:
    return f"as in Linux {result.profile}"


def _scans(result: ReplayResult) -> str:
    scans = result.passes.height
    wakeups = int(result.passes["wakeups"][-1]) if scans else 0
    if result.trace.epochs > 1:
        ending = "the trace ends there"
    else:
        ending = "nothing left to merge" if result.settled else "more may merge"
    return (
        f"{counted(scans, 'full scan')}, {counted(wakeups, 'wake-up')}, "
        f"{_lasting(result.passes['time_ns'][-1] if scans else 0)}; {ending}"
    )


def _cost(result: ReplayResult) -> str:
    """ksmd's CPU time and how soon it pays; an estimate, and called one."""
    cost = cost_of(result)
    if cost is None:
        return ""
    each = cost.scanned_per_page_saved
    per_page = "" if each is None else f"; {each:.1f} pages scanned per page saved"
    origin = result.costs.partition(",")[0]
    return printable(
        f"estimated {_lasting(cost.cpu_ns)} of CPU, {cost.cpu_share:.1%} of one; "
        f"{_reached(cost)}{per_page} (costs of a page: {origin})"
    )


def _reached(cost: Cost) -> str:
    if not cost.reached_ns:
        return "nothing saved"
    times = [_lasting(time) for time in cost.reached_ns.values()]
    percents = "/".join(map(str, cost.reached_ns))
    when = times[0] if len(set(times)) == 1 else "/".join(times)
    return f"{percents} % of the savings after {when}"


def _lasting(nanoseconds: int) -> str:
    return duration_text(nanoseconds // 1_000_000)


def _trace(trace: TraceInfo) -> str:
    epochs = f", {trace.epochs} epochs" if trace.epochs > 1 else ""
    return printable(
        f"{trace.path}: {counted(trace.pages, 'page')}, "
        f"{counted(trace.processes, 'process', 'processes')}, "
        f"{counted(trace.workloads, 'workload')}{epochs}; "
        f"{trace.captured_at[:10]}, {trace.kernel or 'kernel not told'}"
    )
