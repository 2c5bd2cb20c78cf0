"""Reading recordings: what is in doubt is refused, by its step and in one line."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.recording import (
    GLOBAL_FIGURES,
    PROCESS_FIGURES,
    UNLIMITED,
    Observation,
    Recording,
    load,
    parse,
    paths_in,
    play,
    shipped,
)
from analyzer.step import OPERATIONS, Ksmd, Write
from traces.errors import InputError

DOCS = Path(__file__).parents[2] / "docs" / "recording-format.md"

BEGIN: list[dict[str, Any]] = [
    {"op": "spawn", "proc": "A"},
    {"op": "mmap", "proc": "A", "start": 0, "n": 8, "flags": "mn"},
    {"op": "write", "proc": "A", "start": 0, "ids": [1, None, 0]},
]


def document(*steps: dict[str, Any], **keys: Any) -> bytes:
    return json.dumps({"kernel": "6.18.0", "steps": [*BEGIN, *steps], **keys}).encode()


def read(*steps: dict[str, Any], **keys: Any) -> Recording:
    return parse(document(*steps, **keys), "run.json", "run")


def refusal(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(data, "run.json", "run")
    assert "\n" not in str(caught.value)
    return str(caught.value)


class FakeKsmd:
    """Writes down what happens to it; every third wake-up ends a full scan."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.woken = 0

    def wake_up(self) -> bool:
        self.woken += 1
        return self.woken % 3 == 0

    def full_scan(self) -> None:
        self.woken = 0

    def counters(self) -> KsmCounters:
        return KsmCounters(*range(len(KsmCounters._fields)))

    def process(self, proc: str) -> dict[str, int]:
        return {"ksm_merging_pages": len(proc)}

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.happened.append(name)


def played(recording: Recording) -> tuple[list[str], list[Observation]]:
    ksmd = FakeKsmd()
    stage: Ksmd = ksmd  # type: ignore[assignment]
    return ksmd.happened, list(play(recording, stage))


def test_a_step_becomes_a_record() -> None:
    step = read().steps[2]
    assert step.op == "write"
    assert step.what == Write("A", 0, (1, None, 0))


def test_numbers_may_be_text_and_answers_yes_or_no() -> None:
    seen = {"global": {"full_scans": "1"}, "procs": {"A": {"ksm_mergeable": "yes"}}}
    recording = read({"op": "scan", "n": "1", "observed": [seen]})
    (figured,) = recording.steps[-1].seen
    assert figured.machine == {"full_scans": 1}
    assert figured.processes == {"A": {"ksm_mergeable": 1}}


def test_knobs_left_out_have_the_kernels_default_but_no_limit_of_pages() -> None:
    assert read().knobs == KsmKnobs(pages_to_scan=UNLIMITED)
    assert read(knobs={"smart_scan": 0}).knobs.smart_scan is False


def test_figures_nobody_simulates_are_named() -> None:
    seen = {"global": {"full_scans": 1, "ksm_colour": 3}, "procs": {}}
    recording = read({"op": "scan", "observed": [seen]})
    assert recording.not_compared == {"ksm_colour"}


def test_gzipped_and_plain_files_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(document())
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(document()))
    (tmp_path / "notes.txt").write_text("no recording")
    packed, plain = map(load, paths_in(tmp_path))
    assert (packed.name, plain.name) == ("a", "b")
    assert packed.steps == plain.steps


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording there"):
        paths_in(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"op": "dance"}, "there is no operation 'dance', expected one of: spawn"),
        ({}, "there is no operation None"),
        ([], "it is [], expected an object"),
        ({"op": "exit", "proc": "B"}, "no process 'B', expected: 'A'"),
        ({"op": "fork", "proc": "A", "child": "A"}, "'A' lives already"),
        ({"op": "exit"}, "exit has no 'proc', which it needs"),
        ({"op": "exit", "proc": 3}, "proc is 3, expected text"),
        ({"op": "write", "proc": "A", "start": 7, "ids": [1, 2]}, "page 8 of 'A' is"),
        ({"op": "write", "proc": "A", "start": 0, "ids": [-1]}, "a content is -1"),
        ({"op": "write", "proc": "A", "start": 0, "ids": 1}, "ids is 1, expected a li"),
        ({"op": "read", "proc": "A", "start": 0, "n": 0}, "n is 0, expected 1 to"),
        ({"op": "read", "proc": "A", "start": 1.5, "n": 1}, "start is 1.5, expected a"),
        (
            {"op": "mmap", "proc": "A", "start": 9, "n": 1, "flags": "x"},
            "flags are 'x', expected letters of m, h and n",
        ),
        ({"op": "set", "knob": "colour", "value": 1}, "there is no knob 'colour'"),
        ({"op": "set", "knob": "max_page_sharing", "value": 1}, "is 1, expected 2 to"),
        ({"op": "prctl", "proc": "A", "value": 2}, "value is 2, expected 0 to 1"),
        ({"op": "scan", "n": 2, "observed": [{}]}, "scan has 1 observations, expect"),
        ({"op": "scan", "observed": [{"global": 1}]}, "global is 1, expected an obj"),
        (
            {"op": "scan", "observed": [{"global": {"full_scans": "x"}}]},
            "full_scans is 'x', expected a whole number",
        ),
        (
            {"op": "exit", "proc": "A", "observed": [{"procs": {"A": {}}}]},
            "figures of 'A' are observed, which is not alive any more",
        ),
        (
            {
                "op": "snapshot",
                "procs": [{"proc": "B", "vpn": [1, 0], "phys": [1, 2], "content": []}],
            },
            "the lists of 'B' are not equally long",
        ),
        (
            {
                "op": "snapshot",
                "procs": [
                    {"proc": "B", "vpn": [1, 0], "phys": [1, 2], "content": [1, 1]}
                ],
            },
            "the pages of 'B' repeat",
        ),
    ],
)
def test_what_cannot_have_happened_is_refused_by_its_step(
    step: dict[str, Any], complaint: str
) -> None:
    said = refusal(document(step))
    assert said.startswith("run.json: step 4: ")
    assert complaint in said


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is no recording, expected JSON"),
        (b"\xff\xfe\x00", "is no recording, expected JSON"),
        (b"[" * 100_000, "is no recording, expected JSON"),
        (b"[]", "expected a JSON object with steps"),
        (b'{"steps": {}, "kernel": "6.18"}', "steps is {}, expected a list"),
        (b'{"steps": []}', "kernel is missing, expected text"),
        (gzip.compress(document())[:-9], "is a damaged gzip file"),
        (document(kernel="2.6.32"), "kernel 2.6.32: nothing is known of it"),
        (document(page_size=65536), "page_size is 65536, expected 4096"),
        (document(knobs={"advisor_mode": "scan-time"}), "advisor_mode is 'scan-time'"),
        (document(knobs={"colour": 1}), "there is no knob 'colour'"),
        (document(knobs={"smart_scan": None}), "smart_scan is missing, expected a"),
    ],
)
def test_what_is_no_recording_is_refused(data: bytes, complaint: str) -> None:
    said = refusal(data)
    assert said.startswith("run.json: ")
    assert complaint in said


def test_areas_can_be_cut_and_filled_again() -> None:
    whole = {"proc": "A", "start": 0, "n": 8}
    read(
        {"op": "munmap", "proc": "A", "start": 2, "n": 2},
        {"op": "write", "proc": "A", "start": 4, "ids": [1]},
        {"op": "mmap", "proc": "A", "start": 2, "n": 2, "flags": ""},
        {"op": "read", **whole},
        {"op": "unmerge", **whole},
    )


def test_playing_tells_every_event_and_looks_where_the_kernel_was_looked_at() -> None:
    look = {"global": {}, "procs": {}}
    happened, seen = played(
        read(
            {"op": "scan", "n": 2, "observed": [look, look]},
            {"op": "sleep", "ms": 5},
            {"op": "exit", "proc": "A", "observed": [look]},
        )
    )
    assert happened == ["spawn", "mmap", "write", "sleep", "exit"]
    assert [(each.step, each.turn) for each in seen] == [(4, 1), (4, 2), (6, 1)]
    assert list(seen[0].figures.processes) == ["A"]
    assert list(seen[2].figures.processes) == []


def test_playing_knows_which_lines_say_yes() -> None:
    look = {"op": "pause", "observed": [{}]}
    whole = {"proc": "A", "start": 0, "n": 8}
    _, seen = played(
        read(
            look,
            {"op": "unmerge", **whole},
            look,
            {"op": "prctl", "proc": "A", "value": 1},
            look,
        )
    )
    said = [each.figures.processes["A"] for each in seen]
    assert [each["ksm_mergeable"] for each in said] == [1, 0, 1]
    assert [each["ksm_merge_any"] for each in said] == [0, 0, 1]


def test_a_kernel_without_prctl_refuses_it() -> None:
    prctl = {"op": "prctl", "proc": "A", "value": 1, "observed": [{}]}
    _, (seen,) = played(read(prctl, kernel="6.1.0"))
    assert seen.figures.processes["A"]["ksm_merge_any"] == 0


def churned(*steps: dict[str, Any]) -> Iterator[tuple[bool, bool]]:
    _, seen = played(read(*steps))
    for each in seen:
        yield each.churned, each.disturbed


def test_churn_is_change_after_the_first_turn() -> None:
    scan = {"op": "scan", "observed": [{}]}
    write = {"op": "write", "proc": "A", "start": 0, "ids": [4]}
    rest = {"op": "sleep", "ms": 5}
    assert list(churned(write, scan, rest, scan, write, scan)) == [
        (False, False),
        (False, False),
        (True, False),
    ]


def test_a_scan_is_disturbed_from_the_change_to_its_end_and_later_ones_within() -> None:
    write = {"op": "write", "proc": "A", "start": 0, "ids": [4]}
    turns = {"op": "batch", "n": 5, "observed": [{}] * 5}
    # Turns 1 and 2 are in the middle, 3 ends a scan, 4 and 5 are in the middle again.
    begun = {"op": "batch", "observed": [{}]}
    rest = {"op": "batch", "n": 5, "observed": [{}] * 5}
    assert [disturbed for _, disturbed in churned(turns)] == [False] * 5
    assert [disturbed for _, disturbed in churned(begun, write, rest)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


def test_run_2_forgets_the_past() -> None:
    write = {"op": "write", "proc": "A", "start": 0, "ids": [4]}
    scan = {"op": "scan", "observed": [{}]}
    steps = [{"op": "scan"}, write, {"op": "unmerge_all"}, scan]
    assert list(churned(*steps)) == [(False, False)]


def test_the_shipped_recordings_are_of_six_kernels() -> None:
    kernels = {recording.name.split("/")[0] for recording in shipped()}
    assert kernels == {"5.10", "6.1", "6.12", "6.16", "6.18", "7.3"}


def test_the_format_is_documented() -> None:
    text = DOCS.read_text()
    for op, kind in OPERATIONS.items():
        (row,) = re.findall(rf"^\|.*`{op}`.*\|.*\|.*\|$", text, re.MULTILINE)
        for each in fields(kind):
            assert f"`{each.name}`" in row, op
            if each.default is not MISSING:
                assert f"`{each.name}` ({int(each.default)})" in row, op
    for figure in (*GLOBAL_FIGURES, *PROCESS_FIGURES):
        assert f"`{figure}`" in text


def test_the_documented_example_is_a_recording() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    recording = parse(example.encode(), "example", "example")
    assert len(recording.steps[-1].seen) == 2
