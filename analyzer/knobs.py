"""The settings of ksmd, under the names of their files.

`KsmKnobs` is the one list of knobs: the command line's options, the reports and
the saved results are made from its fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from traces.errors import InputError, UsageError

SYSFS: Final = Path("/sys/kernel/mm/ksm")


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

    def __post_init__(self) -> None:
        least = {"pages_to_scan": 1, "max_page_sharing": 2}
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
        values: dict[str, int] = {}
        for knob in fields(cls):
            if knob.name not in files:
                continue
            try:
                values[knob.name] = int(files[knob.name])
            except ValueError as error:
                raise InputError(
                    f"{knob.name} holds {files[knob.name]!r}, expected a number"
                ) from error
        return cls(
            **{k: bool(v) if _is_switch(k) else v for k, v in values.items()}  # type: ignore[arg-type]
        )

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

    def as_files(self) -> dict[str, int]:
        """File name → the integer one would write into it."""
        return {knob.name: int(getattr(self, knob.name)) for knob in fields(self)}


def _is_switch(name: str) -> bool:
    return any(knob.name == name and knob.type is bool for knob in fields(KsmKnobs))
