"""A user's own keys, theme and units: `ksm-analyze/view.toml` among the settings.

theme = "ksm-light"
units = "pages"

[keys]
"app.export" = "E"
"grid.down" = "down,j,ctrl+n"
"""

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from traces.errors import InputError
from tui.session import Unit

UNITS: Final[Mapping[str, Unit]] = {
    "bytes": Unit.BYTES,
    "pages": Unit.PAGES,
    "share": Unit.SHARE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the file holds; everything may be missing."""

    theme: str | None = None
    units: Unit = Unit.BYTES
    keys: Mapping[str, str] = field(default_factory=dict)
    """Id of a binding → its keys, separated by commas."""

    @classmethod
    def load(cls, themes: Collection[str]) -> "Config":
        """Raises InputError, naming file and line or key, for what it cannot mean."""
        path = config_path()
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {error}") from error
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        _known(path, "", values, ("theme", "units", "keys"))
        theme, units = values.get("theme"), values.get("units", "bytes")
        keys = values.get("keys", {})
        if theme is not None:
            _one_of(path, "theme", theme, themes)
        _one_of(path, "units", units, UNITS)
        if not isinstance(keys, dict) or not all(
            isinstance(key, str) and key for key in keys.values()
        ):
            raise InputError(f'{path}: keys: expected lines like "app.export" = "E"')
        if keys:
            # Most people have no keys of their own, and need not load every view.
            from tui.keys import ids

            _known(path, "keys: ", keys, ids())
        return cls(theme=theme, units=UNITS[units], keys=keys)


def config_path() -> Path:
    """The file; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "ksm-analyze" / "view.toml"


def _known(
    path: Path, where: str, values: Mapping[str, Any], names: Collection[str]
) -> None:
    for name in values:
        if name not in names:
            near = get_close_matches(name, list(names), 1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise InputError(f"{path}: {where}there is no {name!r}{meant}")


def _one_of(path: Path, name: str, value: Any, values: Collection[str]) -> None:
    if not isinstance(value, str) or value not in values:
        raise InputError(
            f"{path}: {name} is {value!r}, expected one of {', '.join(values)}"
        )
