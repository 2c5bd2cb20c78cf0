"""Skips where ksmd cannot be had, and keeps two runs of these tests apart."""

import os
import re
from collections.abc import Iterator

import pytest

from analyzer.live.ksmd import exclusively, require_ksmd, use_by_others
from traces.errors import InputError


@pytest.fixture(scope="session")
def ksmd_is_ours() -> Iterator[None]:
    """Skips unless this machine's ksmd can be driven and nobody uses it; then nobody
    else of this program drives it meanwhile."""
    try:
        require_ksmd()
    except InputError as error:
        pytest.skip(str(error))
    with exclusively(wait=True):
        reason = use_by_others()
        if reason is not None:
            pytest.skip(reason)
        yield


@pytest.fixture(scope="session")
def ksmd_is_the_models() -> None:
    """Skips unless the kernel is of the version that a replay simulates."""
    release = os.uname().release
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < (6, 18):
        pytest.skip(f"the replay's ksmd is that of Linux 6.18; this is {release}")
