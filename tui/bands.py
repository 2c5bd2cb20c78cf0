"""What the first and the fourth band say of a session."""

from collections.abc import Sequence
from pathlib import Path

from analyzer.report.units import count_text, duration_text
from tui.session import Session, title_of
from tui.tasks import Task
from tui.widgets.scrubber import Course
from tui.widgets.top_bar import Heading


def heading(
    session: Session, paths: Sequence[Path], task: Task | None, changed: bool
) -> Heading:
    """What is open and being done; *changed*: a file is no more what it was."""
    return Heading(
        title=title_of([session.a.source] if session.a else paths),
        facts=_facts(session),
        job=f"{task.title}: {task.stage}" if task else "",
        done=task.done if task else 0.0,
        waited=int(task.seconds) if task else 0,
        a=session.a.name if session.a and session.result else "",
        b=session.b.name if session.b else "",
        moment=moment_words(session),
        alarm="changed: R reloads" if changed else _partial(session),
    )


def course(session: Session, playing: bool) -> Course:
    """The passes, and the cursor on one of them; there must be one."""
    moment = session.moment
    assert moment is not None
    return Course(
        count=session.count,
        at=session.at,
        label=moment_words(session),
        time=duration_text(moment.time_ns // 1_000_000),
        notch=session.enough_at,
        note=session.enough_note,
        playing=playing,
        bookmarks=tuple(session.bookmarks),
    )


def moment_words(session: Session) -> str:
    """What the moment looked at is called: `pass 4/12`."""
    moment = session.moment
    if moment is None:
        return ""
    last = " end" if session.at_end and not session.result_ends_in_a_pass else ""
    return f"pass {moment.full_scans}/{session.passes}{last}"


def _facts(session: Session) -> tuple[str, ...]:
    result = session.result
    if result is None:
        return ()
    return (
        f"{count_text(result.trace.pages)} pages",
        f"{count_text(result.trace.processes)} processes",
        f"{count_text(result.trace.workloads)} workloads",
    )


def _partial(session: Session) -> str:
    a = session.a
    if a is None or not a.partial or a.result is None:
        return ""
    return f"partial: {a.result.passes.height} passes"
