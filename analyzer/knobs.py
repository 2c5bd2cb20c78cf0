"""The settings of ksmd, under the names of their files.

`KsmKnobs` is the one list of knobs: the command line's options, the reports and
the saved results are made from its fields.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from traces.errors import InputError, UsageError

SYSFS: Final = Path("/sys/kernel/mm/ksm")

ADVISOR_MODES: Final = ("none", "scan-time")

_AT_LEAST_ONE: Final = dict.fromkeys(
    (
        "advisor_max_cpu",
        "advisor_min_pages_to_scan",
        "advisor_max_pages_to_scan",
        "advisor_target_scan_time",
    ),
    1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KsmKnobs:
    """The writable files of /sys/kernel/mm/ksm; defaults are the kernel's (6.18).

    Raises UsageError for a value that the kernel would refuse or that makes a
    replay endless.
    """

    pages_to_scan: int = 100
    """Pages processed in one wake-up of ksmd."""
    sleep_millisecs: int = 20
    """Sleep between two wake-ups."""
    max_page_sharing: int = 256
    """Mappings that may share one KSM page before a copy of it is kept."""
    stable_node_chains_prune_millisecs: int = 2000
    """How often the copies of an over-shared page are looked through."""
    merge_across_nodes: bool = True
    """Whether pages of different NUMA nodes may merge."""
    use_zero_pages: bool = False
    """Whether zero pages are mapped to the kernel's zero page instead of merged."""
    smart_scan: bool = True
    """Whether pages that stayed unmerged are skipped in some scans."""
    advisor_mode: str = "none"
    """`scan-time` lets the kernel set pages_to_scan after every full scan (6.8)."""
    advisor_max_cpu: int = 70
    """Percent of a CPU the advisor lets ksmd take."""
    advisor_min_pages_to_scan: int = 500
    """What the advisor starts with; later it may go below."""
    advisor_max_pages_to_scan: int = 30000
    advisor_target_scan_time: int = 200
    """Seconds a full scan should take."""

    def __post_init__(self) -> None:
        if self.advisor_mode not in ADVISOR_MODES:
            raise UsageError(
                f"advisor_mode is {self.advisor_mode!r}, "
                f"expected {' or '.join(ADVISOR_MODES)}"
            )
        least = {"pages_to_scan": 1, "max_page_sharing": 2, **_AT_LEAST_ONE}
        for knob in fields(self):
            value = getattr(self, knob.name)
            low = least.get(knob.name, 0)
            if knob.type is int and not low <= value < 1 << 31:
                raise UsageError(
                    f"{knob.name} is {value}, expected {low} to {(1 << 31) - 1}"
                )

    @classmethod
    def from_files(cls, files: Mapping[str, str]) -> "KsmKnobs":
        """Knobs from the contents of sysfs files; files this kernel lacks keep
        the default."""
        values: dict[str, Any] = {}
        for knob in fields(cls):
            if knob.name not in files:
                continue
            text = files[knob.name]
            if knob.type is str:
                # The kernel lists all modes, the chosen one in brackets.
                chosen = re.search(r"\[(.+?)\]", text)
                values[knob.name] = chosen[1] if chosen else text
                continue
            try:
                number = int(text)
            except ValueError as error:
                raise InputError(
                    f"{knob.name} holds {text!r}, expected a number"
                ) from error
            values[knob.name] = bool(number) if knob.type is bool else number
        return cls(**values)

    @classmethod
    def from_sysfs(cls, folder: Path = SYSFS) -> "KsmKnobs":
        """This host's present settings.

        Raises InputError where the kernel has no KSM or the files are unreadable.
        """
        try:
            files = {
                knob.name: (folder / knob.name).read_text().strip()
                for knob in fields(cls)
                if (folder / knob.name).exists()
            }
        except OSError as error:
            raise InputError(f"cannot read {folder}: {error.strerror}") from error
        if not files:
            raise InputError(f"{folder}: no knobs there, this kernel has no KSM")
        return cls.from_files(files)

    def as_files(self) -> dict[str, int | str]:
        """File name → what one would write into it; switches are 0 or 1."""
        held = {knob.name: getattr(self, knob.name) for knob in fields(self)}
        return {
            name: value if isinstance(value, str) else int(value)
            for name, value in held.items()
        }
