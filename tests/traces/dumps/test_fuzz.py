"""Every reader on dumps that are cut, damaged, or lie about their sizes.

What may come of one is a refusal in one line, or rows that are what they are said to
be; in little memory and time.
"""

import gzip
import resource
import signal
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from dump_examples import EXAMPLES, Example
from dumping import adds_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traces.dumps import READERS, opened
from traces.dumps.digesting import Digester
from traces.dumps.dump import Account, Asked, Dumped
from traces.dumps.source import Source
from traces.errors import KsmAnalyzeError

MEMORY = 512 << 20
SECONDS = 20
PLACES = 150
PACKERS = {"plain": bytes, "packed": lambda data: gzip.compress(data, 1)}

Rows = dict[tuple[int, int, int], int]
"""(process, mapping, page number) → digest"""

DIGESTER = Digester()


class Read(NamedTuple):
    """What came of a dump."""

    rows: Rows
    account: Account


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Digests in both ways, as the compiler takes memory and time of its own."""
    for packing, pack in PACKERS.items():
        path = tmp_path_factory.mktemp("compiled") / packing
        path.write_bytes(pack(example("core")[1]))
        assert read(path, None)


@pytest.fixture(autouse=True)
def limits(compiled: None) -> Iterator[None]:  # noqa: ARG001
    """So much memory more than now, and so long."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)

    def too_long(*_: object) -> None:
        raise TimeoutError

    handler = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, before)
    signal.signal(signal.SIGALRM, handler)


@cache
def example(name: str) -> tuple[Example, bytes]:
    made = EXAMPLES[name]()
    return made, made.image.bytes()


@pytest.fixture(params=EXAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read(path: Path, form: str | None) -> Read | None:
    """The rows of a dump, which hold together; None where it is refused."""
    rows: Rows = {}
    try:
        with Source(path) as source:
            dump = opened(source, Asked(name="it"), form)
            process, mappings, last = -1, [], (-1, -1)
            for step in dump.steps(DIGESTER):
                if isinstance(step, Dumped):
                    process, mappings, last = process + 1, step.mappings, (-1, -1)
                    continue
                numbers = step.mapping.tolist(), step.vpn.tolist()
                for row, value in zip(
                    zip(*numbers, strict=True), step.digest.tolist(), strict=True
                ):
                    assert row > last
                    area = mappings[row[0]]
                    assert 0 <= row[1] - area["start_vpn"] < area["pages"]
                    rows[process, *row] = value
                    last = row
    except KsmAnalyzeError as error:
        told = str(error)
    else:
        assert process >= 0
        assert adds_up(dump.account, len(rows))
        return Read(rows, dump.account)
    assert "\n" not in told
    assert str(path) in told
    return None


@cache
def truth(name: str, folder: Path) -> Read:
    made, whole = example(name)
    path = folder / "whole"
    path.write_bytes(whole)
    found = read(path, made.form)
    assert found
    assert found.rows
    assert not found.account.truncated
    return found


def test_every_reader_has_an_example():
    heads = [example(name)[1][: 1 << 16] for name in EXAMPLES]
    # CRIU's reader of single files only refuses them; tables have tests of their own,
    # as polars ends the process where address space is limited.
    for reader in READERS:
        if reader.name in ("criu", "table"):
            continue
        assert any(reader.recognises(head) for head in heads), reader.name


@pytest.mark.parametrize("packing", PACKERS)
def test_cut_at_every_structure(tmp_path, name, packing):
    made, whole = example(name)
    all_of_it = truth(name, tmp_path)
    path = tmp_path / "cut"
    places = {mark + n for mark in made.image.marks for n in (-1, 0, 1)}
    for at in sorted(place for place in places if 0 <= place < len(whole)):
        path.write_bytes(PACKERS[packing](whole[:at]))
        check_cut(read(path, made.form), all_of_it, made)


@given(at=st.floats(0, 1, exclude_max=True))
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_cut_anywhere(tmp_path, name, at):
    made, whole = example(name)
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * at)])
    check_cut(read(path, made.form), truth(name, tmp_path), made)


def check_cut(found: Read | None, whole: Read, made: Example) -> None:
    if found is None:
        return
    others = found.rows.items() - whole.rows.items()
    assert not others or (made.named_last and found.account.truncated)
    if made.cuts_show and made.form is None and len(found.rows) < len(whole.rows):
        assert found.account.truncated


@given(
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
        min_size=1,
        max_size=3,
    ),
    packing=st.sampled_from(sorted(PACKERS)),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_flipped_bytes(tmp_path, name, flips, packing):
    made, whole = example(name)
    data = bytearray(whole)
    marks = sorted({0, *made.image.marks} - {len(data)})
    for part, bits in flips:
        # Half of them near where a structure begins: most of a dump is pages.
        near = marks[int(part * 2 * len(marks)) % len(marks)] + int(part * 997) % 64
        at = near if part < 0.5 else int(part * len(data))
        data[min(at, len(data) - 1)] ^= bits
    path = tmp_path / "flipped"
    path.write_bytes(PACKERS[packing](bytes(data)))
    read(path, made.form)


def test_absurd_sizes(tmp_path, name):
    made, whole = example(name)
    path = tmp_path / "absurd"
    heads = [(at, len(data)) for at, data in made.image.pieces if len(data) < 4096]
    places = {at + n for at, size in heads for n in range(0, min(size, 64), 2)}
    absurd = cycle([b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\xff" * 4, bytes(4)])
    step = max(-(-len(places) // PLACES), 1)
    for at, value in zip(sorted(places)[::step], absurd, strict=False):
        path.write_bytes(whole[:at] + value + whole[at + len(value) :])
        read(path, made.form)
