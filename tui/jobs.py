"""Replays in a background process, one at a time; what it says comes as messages.

A process and not a thread, as a thread that computes makes every key wait for it;
asyncio's and not multiprocessing's, which cannot start one inside a running app.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_PATIENCE: Final = 2.0
"""Seconds a process is given to end after it was asked to."""
_LINE: Final = 1 << 20
"""Bytes of one message at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A replay that is wanted, in plain values, as it is sent to the worker."""

    traces: tuple[str, ...]
    folder: str
    """Where its files are to be written."""
    knobs: Mapping[str, int | str] = field(default_factory=dict)
    policy: str = "all"
    kernel: str | None = None
    passes: int | None = None
    contents: int = 1000
    within: tuple[int, int, int] | None = None
    """Mapping, first and last page number: contents of these pages only."""
    pages: bool = True
    """Whether the state of every page is wanted too."""


class Job:
    """One order being carried out."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._process: asyncio.subprocess.Process | None = None
        self._cancelled = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the worker says, line by line; the last is `done`, `error` or, after
        `cancel`, nothing at all."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Without -P a folder `tui` where the user stands would be run instead.
            "-P",
            "-m",
            "tui.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
            env=_environment(),
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        errors = asyncio.create_task(process.stderr.read())
        try:
            if self._cancelled:
                # Given up while it was being started; it would wait for its order.
                return
            self._say(self.order_line())
            ended = False
            async for line in process.stdout:
                message = json.loads(line)
                ended = "done" in message or "error" in message
                yield message
            code = await process.wait()
            if not ended and not self._cancelled:
                stderr = (await errors).decode(errors="replace").strip()
                yield {"error": _last_words(stderr, code), "stderr": stderr}
        finally:
            await self.end()
            errors.cancel()

    def order_line(self) -> dict[str, Any]:
        """The order as the worker's first line."""
        return {name: getattr(self.order, name) for name in Order.__dataclass_fields__}

    def ask_for_a_part(self) -> None:
        """Let the worker write the result as it stands after the present pass."""
        self._say({"ask": "part"})

    def cancel(self) -> None:
        """Ask the process to end; it keeps nothing that would have to be saved."""
        self._cancelled = True
        if self.running:
            assert self._process
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def end(self) -> None:
        """See to it that the process is gone; it is not missed."""
        self._cancelled = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _say(self, words: Mapping[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        process.stdin.write(json.dumps(words).encode() + b"\n")


def _environment() -> dict[str, str]:
    """The worker leaves a core to the screen."""
    spare = max(1, (os.cpu_count() or 1) - 1)
    return {"POLARS_MAX_THREADS": str(spare), **os.environ}


def _last_words(stderr: str, code: int) -> str:
    lines = stderr.splitlines()
    ended = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"{lines[-1] if lines else 'the replay'}: {ended}"
