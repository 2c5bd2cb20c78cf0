"""Cores of Xen's domains, made from docs/misc/dump-core-format.txt."""

import struct
from collections.abc import Sequence

from dumping import PAGE, Image

NOWHERE = (1 << 64) - 1


def xen_core(
    pages: Sequence[tuple[int, bytes]],
    *,
    order: str = "<",
    p2m: bool = False,
    page_size: int = PAGE,
    said: int | None = None,
) -> Image:
    """A domain of *pages*, (number, content) in the order of the file; *p2m* as of a
    paravirtual one, whose table tells machine pages too."""
    image = Image()

    def pack(form: str, *values: int) -> bytes:
        return struct.pack(order + form, *values)

    count = len(pages) if said is None else said
    desc = pack("4Q", 0xF00FEBED if p2m else 0xF00FEBEE, 1, count, page_size)
    none = pack("III", 4, 0, 0x2000000) + b"Xen\0"
    notes = none + pack("III", 4, len(desc), 0x2000001) + b"Xen\0" + desc
    names = b"\0.shstrtab\0.note.Xen\0.xen_pages\0.xen_p2m\0.xen_pfn\0"
    wide = [(number, number ^ 7) if p2m else (number,) for number, _ in pages]
    table = b"".join(pack(f"{len(row)}Q", *row) for row in wide)
    first = -(-(64 + 5 * 64 + len(notes)) // PAGE) * PAGE
    behind = first + len(pages) * PAGE
    sections = [
        (b"", 0, 0, 0),
        (b".note.Xen", 7, 64 + 5 * 64, len(notes)),
        (b".xen_pages", 1, first, len(pages) * PAGE),
        (b".xen_p2m" if p2m else b".xen_pfn", 1, behind, len(table)),
        (b".shstrtab", 3, behind + len(table), len(names)),
    ]
    ident = b"\x7fELF\x02" + bytes([1 + (order == ">"), 1, 0]) + bytes(8)
    image.put(ident + pack("HHIQQQIHHHHHH", 4, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, 5, 4))
    for name, kind, offset, size in sections:
        at = names.index(name + b"\0")
        image.put(pack("IIQQQQIIQQ", at, kind, 0, 0, offset, size, 0, 0, 0, 0))
    image.put(notes)
    for at, (_, content) in enumerate(pages):
        image.put(content, first + at * PAGE)
    image.put(table, behind)
    image.put(names)
    return image
