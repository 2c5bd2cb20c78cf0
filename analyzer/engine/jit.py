"""How everything in the engine is compiled: one set of numba settings."""

from typing import Any, Final

import numba

_SETTINGS: Final[dict[str, Any]] = {
    # A screen stays alive beside a replay, and halves of a job run side by side.
    "nogil": True,
    # Only the first run of all waits for the compiler.
    "cache": True,
    "boundscheck": False,
    "error_model": "numpy",
}

jit: Final = numba.njit(**_SETTINGS)
inlined: Final = numba.njit(inline="always", **_SETTINGS)
