"""A small dump of each format, for tests that break them: every reader adds its own."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from core_files import READ, Form, Notes, Segment, core
from criu_images import Dump, Task, Vma, tarred
from dumping import PAGE, Image, noise, page
from kdump_files import RAW, ZLIB, Kdump, flattened, in_blocks
from lime_files import Range, avml, lime
from qemu_files import Snap, qcow2, record, save, stream
from xen_files import xen_core


class Example(NamedTuple):
    """A dump, whole."""

    image: Image
    """Its marks are where its structures begin and end."""
    form: str | None = None
    """What `--format` must say."""
    cuts_show: bool = True
    """Whether one that ends early can always be told from a whole one."""
    named_last: bool = False
    """What its pages are is told at its end: without it more of them are taken."""


def _core(form: Form, named_last: bool = False) -> Example:
    notes = Notes(form).prstatus().prpsinfo(9, "a", "a b").auxv(PAGESZ=PAGE)
    notes = notes.files((0x40000, 0x42000, b"/lib/a"))
    heap = Segment(0x10000, [page(1), page(0), page(2)])
    file = Segment(0x40000, [page(3)], READ, memsz=2 * PAGE)
    image = core([heap, file, Segment(0x80000, [page(4)])], notes, form)
    return Example(image, named_last=named_last)


def _guest() -> Example:
    notes = Notes().prstatus().add(b"QEMU", 0, bytes(440))
    segments = [
        Segment(0, [page(1), page(0)]),
        Segment(0, [page(9)], paddr=0xFD00_0000),
        Segment(0, [page(2), page(3)], paddr=1 << 32),
    ]
    return Example(core(segments, notes))


RANGES = [
    Range(PAGE, page(1) + page(0) + b"part"),
    Range(0x9000, noise(1) + page(1)),
]


def _image(data: bytes, marks: Iterable[int]) -> Image:
    """A file that was made as one piece, cut where its structures begin."""
    image = Image()
    places = sorted({0, *marks, len(data)})
    for start, end in pairwise(places):
        image.put(data[start:end])
    return image


def _kdump(how: int) -> Example:
    kdump = Kdump(pages={1: page(1), 2: page(0), 9: noise(2), 10: page(1)}, how=how)
    data = kdump.build()
    return Example(_image(data, kdump.bounds.values()))


def _flattened() -> Example:
    data = flattened(in_blocks(Kdump(pages={1: page(1), 2: page(0)}).build(), 5000))
    return Example(_image(data, range(0, len(data), 5016)))


def _criu() -> Example:
    data = tarred(Dump([Task(7, [Vma(16, "ABCZ")]), Task(8, [Vma(3, "A")])]).images())
    return Example(_image(data, range(0, len(data), 512)))


STREAM = stream(
    {"pc.ram": 4},
    [record(0, page(1), "pc.ram"), record(1, b"\0"), record(2, page(2))],
    [record(3, page(1))],
)


EXAMPLES: Mapping[str, Callable[[], Example]] = {
    "core": lambda: _core(Form()),
    "core of 32 bits": lambda: _core(Form(wide=False, order=">")),
    "core of many segments": lambda: _core(Form(many=True)),
    "core with its notes last": lambda: _core(Form(notes_last=True), True),
    "guest": _guest,
    "xen": lambda: Example(xen_core([(5, page(1)), (2, page(0)), (9, page(1))])),
    "kdump": lambda: _kdump(ZLIB),
    "kdump of plain pages": lambda: _kdump(RAW),
    "flattened kdump": _flattened,
    "criu": _criu,
    "migration": lambda: Example(_image(STREAM, range(0, len(STREAM), 97))),
    "libvirt": lambda: Example(_image(save(STREAM), range(0, len(STREAM), 97))),
    "qcow2": lambda: Example(
        _image(qcow2(Snap("a", 1, STREAM)), range(0, len(STREAM), 512))
    ),
    "lime": lambda: Example(lime(RANGES), cuts_show=False),
    "avml": lambda: Example(avml(RANGES), cuts_show=False),
    "raw": lambda: Example(Image([(0, page(1) + page(0) + page(2))], 3 * PAGE), "raw"),
}
