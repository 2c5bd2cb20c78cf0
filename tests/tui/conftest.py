"""The demo trace, replayed once for all tests of the screen."""

from pathlib import Path

import pytest
from flights import Flight, flown

DEMO = Path(__file__).parents[2] / "traces" / "demo.parquet"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """The trace that comes with the program, replayed with the kernel's defaults."""
    return flown(DEMO, tmp_path_factory.mktemp("demo"))
