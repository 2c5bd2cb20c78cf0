"""The prediction of a file that was named: loaded, or replayed in the background."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.knobs import KsmKnobs
from traces.errors import InputError
from tui.jobs import Job, Order
from tui.variant import Settings

if TYPE_CHECKING:
    from analyzer.live.prediction import Prediction
    from analyzer.result import ReplayResult

_POLICY = "captured"
"""ksmd has here what is offered here, so the replay is given what was offered there."""


class Forecast:
    """One file on its way to a prediction."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self.stage = "open"
        self._path = path
        self._changed = changed
        self._began = time.monotonic()
        self._job: Job | None = None

    @property
    def waited(self) -> int:
        """Seconds since it began."""
        return int(time.monotonic() - self._began)

    async def prediction(self, knobs: KsmKnobs) -> "Prediction":
        """Of a saved result, or of a replay of the trace under *knobs*.

        Raises InputError for a file that is neither, and where the replay fails.
        """
        from analyzer.live.prediction import prediction
        from tui.sources import opened

        settings = Settings(knobs, _POLICY)
        variant = (await asyncio.to_thread(opened, self._path, settings)).variant
        result = variant.result or await self._replayed(knobs)
        return await asyncio.to_thread(prediction, result)

    async def end(self) -> None:
        """See to it that nothing goes on in the background."""
        if self._job is not None:
            await self._job.end()

    async def _replayed(self, knobs: KsmKnobs) -> "ReplayResult":
        from analyzer.result import ReplayResult

        with tempfile.TemporaryDirectory(prefix="ksm-analyze-") as folder:
            self._job = Job(
                Order(
                    traces=(str(self._path),),
                    folder=folder,
                    knobs=knobs.as_files(),
                    policy=_POLICY,
                    contents=1,
                    pages=False,
                )
            )
            written: Path | None = None
            async for message in self._job.messages():
                if "error" in message:
                    raise InputError(message["error"], message.get("hint"))
                if "done" in message:
                    written = Path(message["done"])
                self.stage = message.get("stage", self.stage)
                self._changed()
            if written is None:
                raise InputError("the replay was given up")
            return await asyncio.to_thread(ReplayResult.load, written)
