"""The prediction of a file that was named: loaded, or replayed in the background."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from traces.errors import InputError
from tui.jobs import Job, Order
from tui.variant import Settings

if TYPE_CHECKING:
    from analyzer.live.prediction import Prediction
    from analyzer.result import ReplayResult


class Forecast:
    """One file on its way to a prediction."""

    def __init__(
        self, path: Path, settings: Settings, changed: Callable[[], None]
    ) -> None:
        """A trace is replayed as *settings* say; *changed* is called at every stage."""
        self.stage = "open"
        self._path, self._settings = path, settings
        self._changed = changed
        self._began = time.monotonic()
        self._job: Job | None = None

    @property
    def waited(self) -> int:
        """Seconds since it began."""
        return int(time.monotonic() - self._began)

    async def prediction(self) -> "Prediction":
        """Of a saved result, or of a replay of the trace.

        Raises InputError for a file that is neither, and where the replay fails.
        """
        from analyzer.live.prediction import prediction
        from tui.sources import opened

        found = await asyncio.to_thread(opened, self._path, self._settings)
        result = found.variant.result or await self._replayed()
        return await asyncio.to_thread(prediction, result)

    async def end(self) -> None:
        """See to it that nothing goes on in the background."""
        if self._job is not None:
            await self._job.end()

    async def _replayed(self) -> "ReplayResult":
        from analyzer.result import ReplayResult

        knobs, policy, kernel, passes = self._settings
        with tempfile.TemporaryDirectory(prefix="ksm-analyze-") as folder:
            self._job = Job(
                Order(
                    traces=(str(self._path),),
                    folder=folder,
                    knobs=knobs.as_files(),
                    policy=policy,
                    kernel=kernel,
                    passes=passes,
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
