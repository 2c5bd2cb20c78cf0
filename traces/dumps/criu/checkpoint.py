"""Dumps of CRIU: a folder of images, or the archive that podman and CRI-O make of one.

Facts: images/*.proto and criu/include/image.h of CRIU 1.0 to 4.2. CRIU stores of a
private mapping the pages that are anonymous, present or in swap, and not the shared
zero page (criu/mem.c: should_dump_page): what ksmd looks at.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from traces.dumps.archive import Archive, Member
from traces.dumps.criu.container import Container, container
from traces.dumps.criu.images import (
    CHECKPOINT,
    CONFIG,
    MAGICS,
    SPEC,
    STATS,
    DiskImages,
    ImageFolder,
    PackedImages,
    PagesFile,
    Unpacked,
    is_image,
)
from traces.dumps.criu.pagemaps import (
    Pagemap,
    Places,
    framed,
    located,
    overlaps,
    pages_listed,
)
from traces.dumps.criu.protobuf import Malformed, Message
from traces.dumps.digesting import BATCH_PAGES, Digested, Digester
from traces.dumps.dump import Account, Dumped, page_rows
from traces.dumps.extents import ranges
from traces.dumps.source import Folder, Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, UNKNOWN, Pages
from traces.workload import Names, names

_T = TypeVar("_T")

_PSTREE, _CORE, _MM = 0x50273030, 0x55053847, 0x57492820
_FILES, _REG_FILES, _CGROUP = 0x56303138, 0x50363636, 0x59383330
_STATS: Final = 0x57093306
_ENDED: Final = (2, 6)
"""TASK_DEAD, TASK_ZOMBIE."""
_MOST_PARENTS: Final = 1 << 12

_MAP_SHARED, _MAP_GROWSDOWN, _MAP_LOCKED, _MAP_HUGETLB = 1, 0x100, 0x2000, 0x40000
# criu/include/image.h: VMA_AREA_*
_STACK, _HEAP, _FILE_PRIVATE, _FILE_SHARED = 1 << 1, 1 << 5, 1 << 6, 1 << 7
_GUARD: Final = 1 << 16
_SPECIAL: Final = {
    1 << 2: "[vsyscall]",
    1 << 3: "[vdso]",
    1 << 11: "",
    1 << 12: "[vvar]",
    1 << 13: "/[aio]",
    1 << 15: "[shadow stack]",
    1 << 17: "[uprobes]",
}
"""vdso, sockets, rings of aio and the like: none that ksmd looks at."""
# Words of smaps for bits of `madv` (numbers of madvise's advice) that CRIU keeps.
_ADVICE: Final = {12: "mg", 14: "hg", 15: "nh", 16: "dd", 10: "dc", 18: "wf"}

_ANON: Final = ("anon", "heap", "stack", "file")
_SKIPPED: Final = {
    "special": "pages of special mappings (vdso, vsyscall)",
    "hugetlb": "pages of hugetlb",
    "shared": "pages of shared memory",
}

_SWAPPED: Final = "CRIU does not tell pages that were in swap from those in memory"
_PARASITE: Final = (
    "one page of code of each process is CRIU's own doing: by writing a system call "
    "into it, it made a copy of the file's page"
)
_FORKED: Final = (
    "CRIU does not tell which pages processes still shared since fork, so savings are "
    "a lower and an upper bound"
)
_UNFINISHED: Final = (
    "CRIU did not finish this dump (there is no inventory.img): it failed after the "
    "memory of all processes was stored"
)

_STREAM: Final = re.compile(rb".\0\0\0(?:\x08.)?\x12.[\w.-]+\.img", re.DOTALL)


class _Task(NamedTuple):
    """Who a process is."""

    comm: str = ""
    uid: int = UNKNOWN
    cg_set: int = 0
    ended: bool = False


class _Area(NamedTuple):
    """A mapping; in pages."""

    start: int
    end: int
    kind: str
    row: dict[str, Any]


class _Memory(NamedTuple):
    """What the image of an address space tells."""

    areas: list[_Area]
    exe: int = 0
    """The program's number among the files."""


class _Pieces(NamedTuple):
    """Runs of pages within a mapping; equally long int64 arrays."""

    mapping: npt.NDArray[np.int64]
    places: Places


class Criu:
    """One dump: a tree of processes."""

    def __init__(
        self, source: Source | Folder, read: Callable[[Digester], ImageFolder]
    ) -> None:
        self.format = "criu"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[_SWAPPED, _PARASITE])
        self._source, self._read = source, read
        self._damage: list[str] = []
        self._files: dict[int, str] = {}
        self._cgroups: dict[int, dict[str, str]] = {}

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The processes in the order of the tree, and their pages."""
        images = self._read(digester)
        self._source.at = 0
        nobody: dict[int, int] = {}
        tree = self._image(images, "pstree.img", _PSTREE, _tree, nobody)
        if not tree:
            raise InputError(f"{images.path}: its pstree.img names no process")
        self._learn(images)
        folders = _chain(images)
        processes = 0
        for pid, ppid in tree.items():
            task = self._image(images, f"core-{pid}.img", _CORE, _task, _Task())
            if task.ended:
                self.account.skipped["processes that had ended"] += 1
                continue
            processes += 1
            yield from self._process(folders, pid, ppid, task, digester)
        if processes > 1:
            self.account.limits.append(_FORKED)
        self._look_for_others(images, tree)
        self._compare(images)
        self._tell_damage(images)

    def _learn(self, images: ImageFolder) -> None:
        """What is told of all processes."""
        none: dict[int, str] = {}
        old = self._image(images, "reg-files.img", _REG_FILES, _old_files, none)
        self._files = old | self._image(images, "files.img", _FILES, _files, none)
        self._cgroups = self._image(images, "cgroup.img", _CGROUP, _cgroups, {})
        self._container = container(images.beside(CONFIG), images.beside(SPEC))
        self._own_users = any(name.startswith("userns-") for name in images.names)
        if "inventory.img" not in images.names:
            self.account.limits.append(_UNFINISHED)
        self.captured_at = self._container.captured_at or _moment(
            images.modified("pstree.img")
        )

    def _process(
        self,
        folders: Sequence[ImageFolder],
        pid: int,
        ppid: int,
        task: _Task,
        digester: Digester,
    ) -> Iterator[Dumped | Pages]:
        images = folders[0]
        memory = self._image(images, f"mm-{pid}.img", _MM, self._memory, _Memory([]))
        row = {
            "pid": _int32(pid),
            "ppid": _int32(ppid),
            "comm": task.comm,
            "exe": self._files.get(memory.exe, ""),
            "uid": UNKNOWN if self._own_users else _int32(task.uid),
            **self._names(task)._asdict(),
        }
        yield Dumped(row, [area.row for area in memory.areas])
        files: list[PagesFile] = []
        try:
            pagemap = located(folders, f"pagemap-{pid}.img", files)
            pieces = self._pieces(memory.areas, pagemap)
            yield from self._rows(pieces, files, digester)
        finally:
            for file in files:
                file.close()

    def _names(self, task: _Task) -> Names:
        known = names(self._cgroups.get(task.cg_set, {}))
        told: Container = self._container
        return known._replace(
            container=told.container or known.container, pod=told.pod or known.pod
        )

    def _memory(self, messages: Sequence[Message]) -> _Memory:
        """The mappings, ascending. Raises Malformed."""
        found = []
        for vma in messages[0].messages(14):
            start, end, status = vma.number(1), vma.number(2), vma.number(7)
            # Guards lie within other mappings; vsyscall is the kernel's.
            if status & _GUARD or start >> 63:
                continue
            if start % PAGE_SIZE or end % PAGE_SIZE or not start < end < 1 << 63:
                raise Malformed("a mapping without a beginning or an end")
            found.append(self._area(vma, start // PAGE_SIZE, end // PAGE_SIZE))
        found.sort(key=lambda area: area.start)
        for before, area in pairwise(found):
            if area.start < before.end:
                raise Malformed("mappings that overlap")
        return _Memory(found, messages[0].number(12))

    def _area(self, vma: Message, start: int, end: int) -> _Area:
        status, flags, prot = vma.number(7), vma.number(6), vma.number(5)
        advice = vma.number(9)
        kind = _kind(status, flags)
        name = {"heap": "[heap]", "stack": "[stack]"}.get(kind, "")
        if status & (_FILE_PRIVATE | _FILE_SHARED):
            name = self._file(vma.number(4))
        if kind == "special":
            name = next(name for bit, name in _SPECIAL.items() if status & bit)
        words = [word for bit, word in ((1, "rd"), (2, "wr"), (4, "ex")) if prot & bit]
        words += ["sh"] * bool(flags & _MAP_SHARED) + ["lo"] * bool(flags & _MAP_LOCKED)
        words += [word for bit, word in _ADVICE.items() if advice >> bit & 1]
        letters = zip("rwx", (1, 2, 4), strict=True)
        perms = "".join(letter if prot & bit else "-" for letter, bit in letters)
        row = {
            "start_vpn": start,
            "pages": end - start,
            "perms": perms + ("s" if flags & _MAP_SHARED else "p"),
            "kind": kind,
            "name": name,
            "vm_flags": " ".join(words),
            "mergeable": "mg" in words,
        }
        return _Area(start, end, kind, row)

    def _file(self, number: int) -> str:
        """The path of a mapped file."""
        if number not in self._files:
            self._damage.append(f"files.img lacks file {number}, which is mapped")
        return self._files.get(number, "")

    def _pieces(self, areas: Sequence[_Area], pagemap: Pagemap) -> _Pieces:
        """The pages that ksmd could look at, by mapping; the others are counted."""
        account, places = self.account, pagemap.places
        there = int(places.pages.sum())
        account.pages += pagemap.pages
        account.missing_bytes += (pagemap.pages - there) * PAGE_SIZE
        self._damage += pagemap.damage
        starts = np.array([area.start for area in areas], np.int64)
        ends = np.array([area.end for area in areas], np.int64)
        one, area = overlaps(places.vpn, places.vpn + places.pages, starts, ends)
        vpn = np.maximum(places.vpn[one], starts[area])
        end = np.minimum((places.vpn + places.pages)[one], ends[area])
        first = places.first[one] + vpn - places.vpn[one]
        found = Places(vpn, end - vpn, places.file[one], first)
        if outside := there - int(found.pages.sum()):
            account.skipped["pages outside of every mapping"] += outside
        for kind, why in _SKIPPED.items():
            of_kind = np.array([area.kind == kind for area in areas], bool)
            if count := int(found.pages[of_kind[area]].sum()):
                account.skipped[why] += count
        ours = np.array([area.kind not in _SKIPPED for area in areas], bool)[area]
        return _Pieces(area[ours], found.taken(ours))

    def _rows(
        self, pieces: _Pieces, files: Sequence[PagesFile], digester: Digester
    ) -> Iterator[Pages]:
        for mapping, places in _batches(pieces):
            digested = _digested(places, files, digester)
            self._source.at += len(digested.digest) * PAGE_SIZE
            vpn = ranges(places.vpn, places.vpn + places.pages)
            of = np.repeat(mapping, places.pages).astype(np.int32)
            lost = int(np.count_nonzero(~digested.read))
            if lost:
                # It was cut while it was read.
                self.account.missing_bytes += lost * PAGE_SIZE
                vpn, of = vpn[digested.read], of[digested.read]
                digested = digested.taken(digested.read)
            yield page_rows(of, vpn, digested, zero=digester.zero, presence_known=True)

    def _image(
        self,
        images: ImageFolder,
        name: str,
        magic: int,
        parse: Callable[[list[Message]], _T],
        unknown: _T,
    ) -> _T:
        """What *parse* makes of the messages in an image, noted where it is damaged;
        *unknown* where nothing can be made of it."""
        data = images.data(name)
        if data is None:
            if name.startswith(("core-", "mm-")):
                self._damage.append(f"{name} is missing")
            return unknown
        return self._parsed(name, data, magic, parse, unknown)

    def _parsed(
        self,
        name: str,
        data: bytes,
        magic: int,
        parse: Callable[[list[Message]], _T],
        unknown: _T,
    ) -> _T:
        try:
            messages, cut = framed(data, magic)
            found = parse(list(map(Message, messages)))
            if cut:
                self._damage.append(f"{name} is cut")
            return found
        except (Malformed, IndexError):
            self._damage.append(f"{name} is cut or damaged")
            return unknown

    def _look_for_others(self, images: ImageFolder, pids: Collection[int]) -> None:
        """Count shared memory; note memory of processes that are not in the tree."""
        for name in images.names:
            if match := re.fullmatch(r"mm-(\d+)\.img", name):
                if int(match[1]) not in pids:
                    self._damage.append(f"{name} is of no process in pstree.img")
            elif re.fullmatch(r"pagemap-shmem-\d+\.img", name):
                data = images.data(name) or b""
                count = pages_listed(data, images.path / name)
                self.account.skipped[_SKIPPED["shared"]] += count

    def _compare(self, images: ImageFolder) -> None:
        """Note where CRIU's own count of pages is larger than that of the images:
        where a pagemap image ends between two of its entries, nothing else tells."""
        # Podman keeps it beside the images.
        data = images.data(STATS) or images.beside(STATS)
        if not data:
            return
        counted = self._parsed(STATS, data, _STATS, _pages_counted, 0)
        if counted > self.account.pages:
            self._damage.append(
                f"{STATS} tells of {counted} pages, the images of {self.account.pages}"
            )

    def _tell_damage(self, images: ImageFolder) -> None:
        told = list(dict.fromkeys(self._damage))
        if isinstance(images, PackedImages) and images.cut:
            told.insert(0, images.cut)
        more = f", and {len(told) - 3} like it" if len(told) > 3 else ""
        self.account.damage = ", ".join(told[:3]) + more


def recognises_folder(folder: Folder) -> bool:
    """Whether *folder* holds images of CRIU, or a checkpoint that does."""
    return any(map(is_image, folder.names)) or _has_checkpoint(folder)


def open_folder(folder: Folder) -> Criu:
    """The dump in *folder*. Raises InputError where it is none that was finished."""
    own = any(map(is_image, folder.names))
    images = DiskImages(folder.path if own else folder.path / CHECKPOINT)
    _require_whole(images)
    return Criu(folder, lambda _: images)


def open_archive(archive: Archive, kept: Unpacked, first: Member) -> Criu:
    """The dump in *archive*, of which *first* is next, and *kept* was before it."""

    def read(digester: Digester) -> ImageFolder:
        kept.add(first, digester)
        for member in archive:
            kept.add(member, digester)
        found = kept.folders()
        whole = [images for images in found if "pstree.img" in images.names]
        if len(whole) > 1:
            folders = ", ".join(str(images.folder or ".") for images in whole)
            raise InputError(
                f"{archive.source.path}: several dumps of CRIU: {folders}",
                hint="unpack it, and name the folders one by one",
            )
        for images in whole or found:
            _require_whole(images)
            return images
        raise InputError(
            f"{archive.source.path}: an archive without the images of a dump of CRIU"
        )

    return Criu(archive.source, read)


def is_single(head: bytes) -> bool:
    """Whether *head* begins a single image, or a stream of them."""
    return head.startswith(MAGICS) or bool(_STREAM.match(head))


def refused(source: Source) -> InputError:
    """Why such a file is not read."""
    if source.peek(4) in MAGICS:
        return InputError(
            f"{source.path}: one image of a dump of CRIU, expected its folder",
            hint="name the folder of images, or the archive of the checkpoint",
        )
    return InputError(
        f"{source.path}: a stream of criu-image-streamer, which is not read here",
        hint="extract it with criu-image-streamer, and name the folder",
    )


def _has_checkpoint(folder: Folder) -> bool:
    path = folder.path / CHECKPOINT
    return path.is_dir() and any(map(is_image, Folder(path).names))


def _require_whole(images: ImageFolder) -> None:
    """Raises InputError where *images* are of no dump that can be read."""
    if "pstree.img" not in images.names:
        raise InputError(
            f"{images.path}: CRIU's images, but no pstree.img: a pre-dump, or a dump "
            "that failed (dump.log tells why)",
            hint="of a chain of dumps, name the last one",
        )
    prefixes = {name.partition("-")[0] for name in images.names if is_image(name)}
    if "mm" in prefixes and not prefixes & {"pagemap", "pages"}:
        raise InputError(
            f"{images.path}: a dump of CRIU without any pages: they were sent to a "
            "page server",
            hint="put the images of the page server into the same folder",
        )


def _chain(images: ImageFolder) -> list[ImageFolder]:
    """The folder and its parents, nearest first. Raises InputError for a circle."""
    found: list[ImageFolder] = [images]
    seen = {images.path.resolve()}
    while (parent := found[-1].parent()) is not None:
        path = parent.path.resolve()
        if path in seen or len(found) > _MOST_PARENTS:
            raise InputError(f"{images.path}: its parents go in a circle")
        seen.add(path)
        found.append(parent)
    return found


def _tree(messages: Sequence[Message]) -> dict[int, int]:
    """Process → its parent, in the order of the tree."""
    return {message.number(1): message.number(2) for message in messages}


def _task(messages: Sequence[Message]) -> _Task:
    core = messages[0]
    task, thread = core.message(3), core.message(5)
    creds = thread.message(10)
    return _Task(
        comm=task.text(6),
        uid=creds.number(3) if 10 in thread else UNKNOWN,
        cg_set=task.number(9) or thread.number(16),
        ended=task.number(1) in _ENDED,
    )


def _files(messages: Sequence[Message]) -> dict[int, str]:
    """Number → path, which only regular files have."""
    return {m.number(2): m.message(3).text(6) for m in messages}


def _old_files(messages: Sequence[Message]) -> dict[int, str]:
    return {message.number(1): message.text(6) for message in messages}


def _cgroups(messages: Sequence[Message]) -> dict[int, dict[str, str]]:
    """Number of a set → controller → path, as `procfs.cgroups`."""
    return {
        one.number(1): {
            controller: member.text(2)
            for member in one.messages(2)
            for controller in member.text(1).split(",")
        }
        for one in messages[0].messages(1)
    }


def _pages_counted(messages: Sequence[Message]) -> int:
    """Pages of processes that a dump wrote, and those it left to its parents."""
    dump = messages[0].message(1)
    return dump.number(7) + dump.number(6)


def _kind(status: int, flags: int) -> str:
    """What `mappings.kind` calls a mapping."""
    if any(status & bit for bit in _SPECIAL):
        return "special"
    if flags & _MAP_HUGETLB:
        return "hugetlb"
    if flags & _MAP_SHARED:
        return "shared"
    if status & _FILE_PRIVATE:
        return "file"
    if status & _HEAP:
        return "heap"
    return "stack" if status & _STACK or flags & _MAP_GROWSDOWN else "anon"


def _batches(pieces: _Pieces) -> Iterator[tuple[npt.NDArray[np.int64], Places]]:
    """The pieces, cut so that as many pages are together as are digested at once."""
    places = pieces.places
    first = np.concatenate(([0], np.cumsum(places.pages)))
    total = int(first[-1])
    bounds = np.arange(0, total, BATCH_PAGES)
    starts = np.union1d(first[:-1], bounds)
    lengths = np.diff(np.append(starts, total))
    piece = np.searchsorted(first, starts, "right") - 1
    within = starts - first[piece]
    cut = places.taken(piece)
    cut = Places(cut.vpn + within, lengths, cut.file, cut.first + within)
    edges = np.append(np.searchsorted(starts, bounds), len(starts))
    for begin, end in pairwise(edges.tolist()):
        yield pieces.mapping[piece[begin:end]], cut.taken(slice(begin, end))


def _digested(
    places: Places, files: Sequence[PagesFile], digester: Digester
) -> Digested:
    """What is in the pages of *places*."""
    total = int(places.pages.sum())
    found = Digested(
        np.empty(total, np.int64), np.empty(total, bool), np.empty(total, bool)
    )
    begin = np.cumsum(places.pages) - places.pages
    for file in np.unique(places.file).tolist():
        of = places.file == file
        rows = ranges(begin[of], (begin + places.pages)[of])
        part = files[file].digested(digester, places.first[of], places.pages[of])
        for whole, some in zip(found, part, strict=True):
            whole[rows] = some
    return found


def _int32(number: int) -> int:
    return number if number < 1 << 31 else UNKNOWN


def _moment(seconds: float | None) -> str:
    try:
        when = datetime.fromtimestamp(seconds or 0, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return when.isoformat(timespec="seconds") if seconds else ""
