"""Compressed ELF cores whose notes stand behind their memory, as gdb writes them.

Only once all was read is it known what they are.
"""

from collections.abc import Iterator

from traces.dumps.cores.elf import Elf
from traces.dumps.cores.guest import NOTES, VmCore
from traces.dumps.cores.process import ElfCore
from traces.dumps.cores.segments import Stream
from traces.dumps.digesting import Digester
from traces.dumps.dump import Account, Asked, Dump, Step


class LateCore:
    """What it is, and all about it, is known once `steps` has begun."""

    def __init__(self, elf: Elf, asked: Asked) -> None:
        self.format = "elf-core"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account()
        self._elf, self._asked = elf, asked

    def steps(self, digester: Digester) -> Iterator[Step]:
        """As the dump that it turns out to be."""
        stream = Stream(self._elf, digester)
        found = known(self._elf, self._asked, stream)
        self.format, self.account, self.host = found.format, found.account, found.host
        self.kernel, self.captured_at = found.kernel, found.captured_at
        yield from found.steps(digester)


def known(elf: Elf, asked: Asked, stream: Stream | None = None) -> Dump:
    """The dump that *elf* is by its notes: of a guest, or of a process."""
    if any(note.name.startswith(NOTES) for note in elf.notes):
        return VmCore(elf, asked.name, stream)
    return ElfCore(elf, private=asked.private, holes=asked.holes, stream=stream)
