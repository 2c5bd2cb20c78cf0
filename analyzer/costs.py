"""What a page costs ksmd, in nanoseconds of CPU time.

`ksm-analyze calibrate` measures it on a host and stores it for its user; where nobody
has, a stated default is used. Standard library only: commands read it as they start.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from traces.errors import InputError

SCHEMA: Final = "ksm-analyze-costs/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU time of ksmd per visited page, in nanoseconds.

    Skipped pages cost nothing here: smart_scan passes over them in the walk.
    """

    checksum: float
    """A first visit, or one that finds the page changed: it is only digested."""
    search: float
    """A visit that digests the page, searches both trees, and leaves it unmerged."""
    merge: float
    """A visit at whose end the page is merged."""
    merged: float
    """A visit of a page that is merged already."""
    source: str
    """Where the figures come from, in words."""

    @classmethod
    def default(cls) -> "Costs":
        """What was measured on one x86-64 virtual machine under Linux 6.18.

        In pages per second: 0.8 to 1.1 million in a first scan, 0.12 to 0.17 million
        where trees are searched, 0.25 million that merge, 1.5 million merged ones.
        Contents were random; other processors, larger trees and contents that begin
        alike make these twice as much, or half.
        """
        return cls(
            checksum=1050,
            search=7000,
            merge=4000,
            merged=670,
            source="default, of a virtual machine with Linux 6.18: 0.95 million first "
            "visits a second, 0.14 million searches, 0.25 million merges, 1.5 million "
            "visits of merged pages; ksm-analyze calibrate measures this host",
        )

    @classmethod
    def load(cls) -> "Costs":
        """The user's calibration, or the default where there is none.

        Raises InputError where the file is there and cannot be read or is damaged.
        """
        path = path_of_calibration()
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls.default()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        try:
            return Calibration.from_json(text).costs()
        except ValueError as error:
            raise InputError(
                f"{path}: {error}",
                "remove it, or measure again with ksm-analyze calibrate",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One measurement as it is stored; times in nanoseconds per page."""

    host: str
    kernel: str
    measured_at: str
    """ISO 8601, UTC."""
    pages: int
    """Pages of each workload: searches cost more in larger trees."""
    checksum: float
    search: float
    merge: float
    merged: float

    def costs(self) -> Costs:
        """The figures, with where they come from."""
        return Costs(
            checksum=self.checksum,
            search=self.search,
            merge=self.merge,
            merged=self.merged,
            source=f"measured on {self.host}, Linux {self.kernel}, {self.measured_at}",
        )

    def as_json(self) -> str:
        """The file's text, keys in the order of the fields."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Raises ValueError, in words, for text that is no calibration."""
        try:
            values: dict[str, Any] = json.loads(text)
            schema = values.pop("schema")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError("is no calibration of ksm-analyze") from error
        if schema != SCHEMA:
            raise ValueError(f"its schema is {schema!r}, expected {SCHEMA!r}")
        try:
            found = cls(**values)
        except TypeError as error:
            raise ValueError("lacks a figure, or has one too many") from error
        for name in ("checksum", "search", "merge", "merged"):
            value = getattr(found, name)
            if not isinstance(value, int | float) or not 0 < value < 1e9:
                raise ValueError(f"{name} is {value!r}, expected 0 to 1e9 ns")
        return found


def path_of_calibration() -> Path:
    """$XDG_CONFIG_HOME/ksm-analyze/costs.json, or below ~/.config."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    known = configured if Path(configured).is_absolute() else "~/.config"
    return Path(known).expanduser() / "ksm-analyze" / "costs.json"
