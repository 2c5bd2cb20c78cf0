"""Guest memory as an ELF core: QEMU's dump-guest-memory, virsh dump --memory-only,
VirtualBox's dumpvmcore."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from traces.dumps.cores.elf import Elf, Loads
from traces.dumps.cores.segments import Segments, Stream
from traces.dumps.digesting import Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest, page_rows, ram
from traces.schema import PAGE_SIZE, Pages

NOTES: Final = (b"QEMU", b"VMCOREINFO", b"VBCORE")
"""Notes that a process's core does not have."""

# Where x86 machines keep their devices' memory: QEMU puts RAM below and above.
_DEVICES: Final = (0xC000_0000, 0x1_0000_0000)

_HIGHEST: Final = 1 << 57


class VmCore:
    """A guest's physical memory; page numbers are those of guest-physical addresses."""

    def __init__(self, elf: Elf, name: str, stream: Stream | None = None) -> None:
        self.format = "guest-elf"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED])
        self._elf, self._name, self._stream = elf, name, stream

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        loads = self._once(self._elf.loads)
        memory = _memory(loads)
        stream = self._stream
        if stream is None and not self._elf.source.plain:
            stream = Stream(self._elf, digester)
        segments = Segments(
            self._elf, loads, stream, digester, self.account, holes=False
        )
        for at in np.flatnonzero(~memory).tolist():
            what = "pages of devices (ROM, video memory)"
            self.account.skipped[what] += segments.present(at)
        ends = (loads.paddr + loads.filesz)[memory]
        pages = int(ends.max(initial=0)) // PAGE_SIZE
        yield guest(self._name, [ram("ram", 0, pages)])
        for at in np.flatnonzero(memory).tolist():
            base = int(loads.paddr[at]) // PAGE_SIZE
            for numbers, digested in segments.pages(at):
                yield page_rows(
                    0, numbers + base, digested, zero=digester.zero,
                    presence_known=False,
                )  # fmt: skip

    def _once(self, loads: Loads) -> Loads:
        """Ascending by physical address, every page once: a dump with paging=true has
        a segment for each mapping, and the same page in several."""
        loads = loads.taken(np.argsort(loads.paddr, kind="stable"))
        kept, end = [], 0
        for at in range(len(loads)):
            if loads.paddr[at] < 0 or loads.paddr[at] > _HIGHEST:
                nowhere = int(loads.filesz[at]) // PAGE_SIZE
                self.account.skipped["pages without a physical address"] += nowhere
                self.account.pages += nowhere
                continue
            start, size = int(loads.paddr[at]), int(loads.filesz[at])
            seen = min(max(end - start, 0), size)
            # An address in the middle of a page does not occur; pages are counted.
            seen += -(start + seen) % PAGE_SIZE
            twice = min(seen, size) // PAGE_SIZE
            if twice:
                self.account.skipped["pages mapped more than once"] += twice
                self.account.pages += twice
            loads.paddr[at] += seen
            loads.offset[at] += seen
            loads.filesz[at] = max(size - seen, 0)
            if loads.filesz[at]:
                kept.append(at)
                end = max(end, start + size)
        return loads.taken(kept)


def _memory(loads: Loads) -> npt.NDArray[np.bool_]:
    """Which of *loads*, ascending, are RAM: below 4 GiB it is in one piece, and how far
    that reaches is the machine's choice."""
    first, end = _DEVICES
    reach = first
    for start, size in zip(loads.paddr.tolist(), loads.filesz.tolist(), strict=True):
        if start <= reach < start + size:
            reach = start + size
    return (loads.paddr < reach) | (loads.paddr >= end)
