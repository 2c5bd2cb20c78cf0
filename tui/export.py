"""What is seen, as a file: exact figures under their stored names, or a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.report.columns import COLUMNS, Unit
from analyzer.report.machine import csv_text, json_text
from analyzer.report.markdown import escaped
from traces.errors import KsmAnalyzeError
from traces.table import replacing
from traces.tool import tool
from tui.session import Session

if TYPE_CHECKING:
    import polars as pl

    from tui.views.process import Process
    from tui.views.view import View

SUFFIXES: Final = (".csv", ".json", ".md", ".svg")

VIEW_SCHEMA: Final = "ksm-analyze/view/1"


class Cannot(Exception):  # noqa: N818 (what is asked, not what went wrong)
    """Nothing can be written so, for the reason given."""


def write_file(
    path: Path, session: Session, view: "View | Process", picture: str
) -> str:
    """Write what *view* shows to *path*, atomically and for its owner only.

    Returns what was written, in words. Raises Cannot.
    """
    if path.suffix not in SUFFIXES:
        raise Cannot(f"{path.name}: no such suffix; expected {', '.join(SUFFIXES)}")
    if path.exists():
        raise Cannot(f"{path}: is there already")
    if path.suffix == ".svg":
        text, what = picture, "the screen"
    else:
        frame = view.frame()
        if frame is None:
            raise Cannot("there is no table here; .svg takes the screen")
        text, what = _drawn(path.suffix, frame, session, view), f"{frame.height} rows"
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except KsmAnalyzeError as error:
        raise Cannot(str(error)) from error
    return f"{what} in {path}"


def _drawn(
    suffix: str, frame: "pl.DataFrame", session: Session, view: "View | Process"
) -> str:
    if suffix == ".csv":
        return csv_text(frame.columns, frame.iter_rows())
    if suffix == ".md":
        return _markdown(frame)
    result, moment = session.result, session.moment
    assert result is not None
    assert moment is not None
    return json_text(
        {
            "schema": VIEW_SCHEMA,
            "generated_by": tool(),
            "view": view.NAME,
            "trace": result.trace.path,
            "variant": session.a.name if session.a else "",
            "knobs": result.knobs.as_files(),
            "policy": result.policy,
            "kernel_profile": result.profile,
            "full_scans": moment.full_scans,
            "filter": session.filter,
            "rows": frame.rows(named=True),
        }
    )


def _markdown(frame: "pl.DataFrame") -> str:
    names = [name for name in frame.columns if name in COLUMNS]
    titles = [COLUMNS[name].title for name in names]
    rules = ["---:" if COLUMNS[name].right else "---" for name in names]
    rows = [
        [_text(name, value) for name, value in zip(names, row, strict=True)]
        for row in frame.select(names).iter_rows()
    ]
    lines = (f"| {' | '.join(line)} |" for line in [titles, rules, *rows])
    return "\n".join(lines) + "\n"


def _text(name: str, value: object) -> str:
    text = COLUMNS[name].text(value)
    return escaped(text) if COLUMNS[name].unit is Unit.NAME else text
