from dataclasses import replace
from pathlib import Path

import pytest
from builders import FACTS, Proc, trace_file


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three processes in two workloads, one with a name to be careful with."""
    return trace_file(
        tmp_path_factory.mktemp("cli") / "trace.parquet",
        Proc("AABZZ", pid=10, comm="one", workload="web"),
        Proc("AACZ", pid=11, comm="two|\x1b[31m", workload="web"),
        Proc("ADEZ", pid=12, comm="日本", workload="db", mergeable=False),
    )


@pytest.fixture(scope="session")
def other_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture whose digests mean other contents."""
    return trace_file(
        tmp_path_factory.mktemp("cli") / "other.parquet",
        Proc("AAB"),
        facts=replace(FACTS, seed_id="another"),
    )
