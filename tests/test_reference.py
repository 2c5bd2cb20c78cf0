"""The slow reference itself, against what real ksmds did: it is only worth holding the
engine against if the kernel agrees with it, in mid-scan too."""

from pathlib import Path

import pytest
from recordings import PATHS, Recording, comparable, kernel_view
from reference import Ksmd

FROZEN = [path for path in PATHS if not Recording.read(path).events()]


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_equals_the_kernel_after_every_turn(path: Path) -> None:
    recording = Recording.read(path)
    snapshot = recording.snapshot()
    ksmd = Ksmd(list(snapshot.values()), recording.knobs)
    for turn, observed in recording.turns():
        if turn == "batch":
            ksmd.wake_up()
        else:
            ksmd.full_scan()
        processes = {name: ksmd.process(i) for i, name in enumerate(snapshot)}
        assert kernel_view(ksmd.counters(), processes) == comparable(observed)
