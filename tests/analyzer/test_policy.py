import re

import numpy as np
import polars as pl
import pytest
from builders import Proc, trace_file
from hypothesis import given
from hypothesis import strategies as st

from analyzer.host import sized
from analyzer.policy import MergePolicy, Offer, Uncertain
from analyzer.replay import run
from traces.errors import UsageError
from traces.schema import MAPPINGS, PROCESSES
from traces.trace import Trace, joined

QUOTED, BACKSLASHED = r"""[\\"'*\[]""", r"\\\g<0>"

# pid, ppid, comm, first and last epoch. A second 20 comes when the first has ended.
FAMILY = [
    (10, 1, "init", 0, 9),
    (20, 10, "web", 0, 4),
    (21, 20, "web", 0, 9),
    (22, 21, "php", 2, 9),
    (30, 10, "db", 0, 9),
    (20, 30, "cron", 5, 9),
    (40, 20, "job", 6, 9),
]
KINDS = ("heap", "stack")


def family() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A heap, mergeable for db only, and a stack for each of FAMILY."""
    processes = pl.DataFrame(
        [
            {
                "process": at,
                "host": "h",
                "pid": pid,
                "ppid": ppid,
                "comm": comm,
                "workload": "all",
                "user": "root" if pid == 10 else "www",
                "cgroup": f"/system.slice/{comm}.service",
                **dict.fromkeys(("unit", "container", "pod", "vm"), ""),
                "first_epoch": first,
                "last_epoch": last,
                "pages": 100 * at,
            }
            for at, (pid, ppid, comm, first, last) in enumerate(FAMILY)
        ]
    )
    mappings = pl.DataFrame(
        [
            {
                "mapping": 2 * at + which,
                "process": at,
                "kind": kind,
                "name": f"[{kind}]",
                "mergeable": row[2] == "db" and kind == "heap",
            }
            for at, row in enumerate(FAMILY)
            for which, kind in enumerate(KINDS)
        ]
    )
    assert set(mappings.columns) < set(MAPPINGS.names)
    assert set(processes.columns) - {"pages"} < set(PROCESSES.names)
    return processes, mappings


def offered(policy: MergePolicy) -> set[str]:
    """`comm kind` of what is; both of a process are `comm`."""
    processes, mappings = family()
    mask = policy.offered(processes, mappings)
    assert mask.dtype == np.bool_
    assert len(mask) == mappings.height
    named = {
        f"{FAMILY[row['process']][2]}{row['process']} {row['kind']}"
        for row in mappings.filter(pl.Series(mask)).to_dicts()
    }
    whole = {name.split()[0] for name in named}
    for comm in whole:
        both = {f"{comm} {kind}" for kind in KINDS}
        if both <= named:
            named = (named - both) | {comm}
    return named


ALL = {"init0", "web1", "web2", "php3", "db4", "cron5", "job6"}
DB = {"db4 heap"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (MergePolicy(), ALL),
        (MergePolicy(Offer.CAPTURED), DB),
        (MergePolicy(Offer.NONE), set()),
        (MergePolicy(opt_in="comm == web"), ALL),
        (MergePolicy(Offer.CAPTURED, "comm == web"), DB | {"web1", "web2"}),
        (MergePolicy(Offer.NONE, "comm == web"), {"web1", "web2"}),
        (MergePolicy(Offer.NONE, "web"), {"web1", "web2"}),
        (MergePolicy(Offer.NONE, "30"), {"db4"}),
        (MergePolicy(Offer.NONE, "heap"), set()),
        (MergePolicy(Offer.NONE, 'heap and kind == heap and name == "*"'), set()),
        (
            MergePolicy(Offer.NONE, "comm == web and kind == stack"),
            {"web1 stack", "web2 stack"},
        ),
        (MergePolicy(Offer.NONE, 'name == "[heap]" and user == root'), {"init0 heap"}),
        (MergePolicy(Offer.NONE, "cgroup == /system.slice/[dp]*"), {"db4", "php3"}),
        (MergePolicy(Offer.NONE, "size > 1600K"), {"cron5", "job6"}),
        (MergePolicy(Offer.NONE, "size >= 1600K"), {"db4", "cron5", "job6"}),
        (MergePolicy(opt_out="not comm == db"), {"db4"}),
        (MergePolicy(opt_out="kind == heap and not comm == db"),
         {f"{name} stack" for name in ALL - {"db4"}} | {"db4"}),
        (MergePolicy(Offer.CAPTURED, opt_out="comm == db"), set()),
        (MergePolicy(Offer.NONE, "comm in (web, db)", "pid == 21"), {"web1", "db4"}),
        (MergePolicy(Offer.NONE, "comm == web", "comm == web"), set()),
        (MergePolicy(Offer.NONE, trees=(30,)), {"db4", "cron5", "job6"}),
        (MergePolicy(Offer.NONE, trees=(21,)), {"web2", "php3"}),
        (MergePolicy(Offer.NONE, trees=(22, 40)), {"php3", "job6"}),
        # Two processes had this PID, each has children of its own.
        (MergePolicy(Offer.NONE, trees=(20,)),
         {"web1", "web2", "php3", "cron5", "job6"}),
        (MergePolicy(Offer.CAPTURED, trees=(10,)), ALL),
        (MergePolicy(Offer.NONE, trees=(10,), opt_out="kind == stack"),
         {f"{name} heap" for name in ALL}),
        (MergePolicy(Offer.CAPTURED, "comm == php", trees=(40,)),
         DB | {"php3", "job6"}),
    ],
    # Sets have no order, and workers must call a test by one name.
    ids=lambda each: ", ".join(sorted(each)) if isinstance(each, set) else str(each),
)  # fmt: skip
def test_who_is_offered(policy, expected):
    assert offered(policy) == expected


def test_a_tree_stays_on_its_host_and_ends_in_a_circle():
    processes, mappings = family()
    elsewhere = pl.when(pl.col("pid") == 21).then(pl.lit("g")).otherwise("host")
    processes = processes.with_columns(
        elsewhere.alias("host"),
        pl.when(pl.col("pid") == 10).then(40).otherwise("ppid").alias("ppid"),
    )
    mask = MergePolicy(Offer.NONE, trees=(30,)).offered(processes, mappings)
    found = set(mappings.filter(pl.Series(mask))["process"].to_list())
    assert found == {4, 5, 6}


def test_a_pid_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as refused:
        MergePolicy(trees=(29,)).offered(*family())
    assert str(refused.value) == "no process 29 in the trace"
    assert refused.value.hint == "the nearest is 30, db"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"opt_in": "saved > 1G"},
            "no saved here: who is offered is decided before a replay (column 1)",
        ),
        ({"opt_out": "comm = a"}, "no = alone (column 6), did you mean ==?"),
        ({"opt_out": " "}, "an empty expression"),
        ({"trees": (0,)}, "PID 0, expected 1 to 2147483647"),
        ({"trees": (1 << 70,)}, f"PID {1 << 70}, expected 1 to 2147483647"),
    ],
)
def test_a_policy_is_checked_when_it_is_made(asked, message):
    with pytest.raises(UsageError) as refused:
        MergePolicy(**asked)
    assert str(refused.value) == message


quoted = st.text("ab\"'\\;*[] -", max_size=8).map(
    lambda text: f'comm == "{re.sub(QUOTED, BACKSLASHED, text)}"'
)
asked = st.sampled_from(
    ["", "web", "size > 1G", 'kind in ("a; opt-out b", "c\\";")', "not (a or b)"]
)


@given(
    st.sampled_from(Offer),
    asked | quoted,
    asked | quoted,
    st.lists(st.integers(1, 5000), max_size=3),
    st.sampled_from(Uncertain),
)
def test_a_policy_is_read_as_it_is_written(offer, opt_in, opt_out, trees, uncertain):
    policy = MergePolicy(offer, opt_in, opt_out, tuple(trees), uncertain)
    assert MergePolicy.parse(str(policy)) == policy


def test_a_policy_reads_well():
    policy = MergePolicy(Offer.CAPTURED, "workload == 'web*'", "stack", (20, 10, 20))
    assert str(policy) == (
        'captured; opt-in-tree 10; opt-in-tree 20; opt-in workload == "web*"; '
        "opt-out stack"
    )
    assert str(MergePolicy()) == "all"
    counted_in = MergePolicy(uncertain=Uncertain.COUNT_IN)
    assert str(counted_in) == "all; uncertain count-in"


@pytest.mark.parametrize(
    "text",
    ["", "some", "all; opt-in", "all; opt-in savd > 1", "all; opt-in-tree x",
     "all; frozen", "all;opt-in a", "all; opt-out a; opt-in b", "all; uncertain",
     "all; uncertain maybe", "all; uncertain keep-out"],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(UsageError):
        MergePolicy.parse(text)


def test_what_nobody_fits_is_told():
    policy = MergePolicy(opt_in="comm == wbe", opt_out="comm == db")
    assert policy.idle(*family()) == ['no mapping of the trace fits comm == "wbe"']


def test_sizes_are_the_pages_present_at_first_sight(tmp_path):
    paths = [
        trace_file(tmp_path / "one", Proc("AAB", pid=1), Proc("A", pid=2)),
        trace_file(tmp_path / "two", Proc("AABBB", pid=3)),
    ]
    traces = [Trace.open(path) for path in paths]
    tables = joined(traces)
    assert "pages" not in sized(MergePolicy(), traces, *tables).columns
    policy = MergePolicy(Offer.NONE, "size >= 3")
    assert sized(policy, traces, *tables)["pages"].to_list() == [3, 1, 5]
    found = run(paths, policy=policy)
    assert found.processes["pages"].to_list() == [3, 0, 5]
    assert found.policy == "none; opt-in size >= 3"
    assert not any("fits" in text for text in found.trace.limits)
