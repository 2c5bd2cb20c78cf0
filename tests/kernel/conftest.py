"""Skips where ksmd cannot be had, and keeps two runs of these tests apart."""

from collections.abc import Iterator

import pytest
from kernel.ksmd import exclusively, reason_to_leave_it_alone


@pytest.fixture(scope="session", autouse=True)
def ksmd_is_ours() -> Iterator[None]:
    with exclusively():
        reason = reason_to_leave_it_alone()
        if reason is not None:
            pytest.skip(reason)
        yield
