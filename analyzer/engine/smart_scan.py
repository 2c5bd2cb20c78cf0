"""How long smart scan leaves a page alone that stayed unmerged (Linux 6.7)."""

from analyzer.engine.jit import inlined


@inlined
def skip_age(years: int) -> int:
    """skip_age(): how many visits are passed over next."""
    if years <= 3:
        return 1
    if years <= 5:
        return 2
    return 4 if years <= 8 else 8
