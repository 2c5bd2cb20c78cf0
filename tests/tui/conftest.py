"""The demo trace, replayed once for all tests of the screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flights import Flight, flown
from screens import Replays, replayed

DEMO = Path(__file__).parents[2] / "traces" / "demo.parquet"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """The trace that comes with the program, replayed with the kernel's defaults."""
    return flown(DEMO, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replays]:
    """The same, and replayed other ways, without a developer's keys and calibration."""
    folder = tmp_path_factory.mktemp("replays")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        yield replayed(folder)
