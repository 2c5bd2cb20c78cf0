"""Tells when numba really compiles, so that a first run can say why it is slow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event


class _FirstCompile(event.Listener):  # type: ignore[misc]
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.told = False

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002
        if not self.told:
            self.told = True
            self.callback()

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def announce(callback: Callable[[], None]) -> Iterator[None]:
    """Call *callback* once if anything is compiled inside the block.

    Loading compiled code from the cache is no compilation.
    """
    listener = _FirstCompile(callback)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)
