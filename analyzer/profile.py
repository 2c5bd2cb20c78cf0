"""What differs between kernel versions, as one table of switches."""

import os
import re
from dataclasses import dataclass, replace
from typing import Final

from traces.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How ksmd behaves in one range of kernels; the defaults are 6.18's."""

    name: str
    """The first kernel of the range."""
    stable_first: bool = False
    """The stable tree is searched before the checksum gate (before 6.11)."""
    smart_scan: bool = True
    """There is the knob smart_scan (since 6.7)."""
    count_zero_pages: bool = True
    """Placed zero pages are counted, and can be un-merged (since 6.6)."""
    split_zero: bool = True
    """The split of a folio maps its zero subpages to the shared zero page (since
    6.12)."""
    old_chains: bool = False
    """A chain collapses only in a timed look through all of it (before 6.11)."""
    fork_copies_counters: bool = False
    """fork gives the child its parent's figures as start values (before 6.18)."""
    stable_resets: bool = False
    """Leaving a stable node clears checksum, age and skips (since 7.3)."""
    merge_any: bool = True
    """There is PR_SET_MEMORY_MERGE (since 6.4)."""

    @property
    def plain_snapshot(self) -> bool:
        """Whether it treats memory that stands still as 6.18 does."""
        return self.split_zero and not self.stable_first


_5_10: Final = Profile(
    name="5.10",
    stable_first=True,
    smart_scan=False,
    count_zero_pages=False,
    split_zero=False,
    old_chains=True,
    fork_copies_counters=True,
    merge_any=False,
)
_6_4: Final = replace(_5_10, name="6.4", merge_any=True)
_6_6: Final = replace(_6_4, name="6.6", count_zero_pages=True)
_6_7: Final = replace(_6_6, name="6.7", smart_scan=True)
_6_11: Final = replace(_6_7, name="6.11", stable_first=False, old_chains=False)
_6_12: Final = replace(_6_11, name="6.12", split_zero=True)
_6_18: Final = replace(_6_12, name="6.18", fork_copies_counters=False)
_7_3: Final = replace(_6_18, name="7.3", stable_resets=True)

PROFILES: Final = (_5_10, _6_4, _6_6, _6_7, _6_11, _6_12, _6_18, _7_3)
"""Oldest first; each holds until the next begins."""

NEWEST: Final = (7, 3)
_OLDEST: Final = (5, 10)
_BACKPORTED: Final = (6, 12, 107)
"""6.12.y from here on has 6.18's counters of forked processes."""


def profile_of(kernel: str) -> Profile:
    """The profile of a kernel release such as `6.12.107+deb13-amd64` or `6.18`.

    Raises InputError for a kernel that is older or newer than all known ones, and
    for text that is no release.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", kernel)
    if not found:
        raise InputError(f"kernel {kernel!r} is no release, expected such as 6.18")
    major, minor, patch = (int(part or 0) for part in found.groups())
    if not _OLDEST <= (major, minor) <= NEWEST:
        raise InputError(
            f"kernel {kernel}: nothing is known of it, expected "
            f"{_OLDEST[0]}.{_OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        )
    known = [profile for profile in PROFILES if _begin(profile) <= (major, minor)]
    profile = known[-1]
    if (major, minor) == _BACKPORTED[:2] and patch >= _BACKPORTED[2]:
        profile = replace(profile, fork_copies_counters=False)
    return profile


def _begin(profile: Profile) -> tuple[int, int]:
    major, minor = profile.name.split(".")
    return int(major), int(minor)


def chosen_profile(asked: str | None, captured: str) -> Profile:
    """The profile *asked* for, or that of the kernel of a capture.

    *asked* is a release, or `host` for this machine's. Without it, a captured kernel
    that is not known gives way to the newest known one. Raises InputError as
    `profile_of`.
    """
    if asked is not None:
        return profile_of(os.uname().release if asked == "host" else asked)
    try:
        return profile_of(captured)
    except InputError:
        return PROFILES[-1]
