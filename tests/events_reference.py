"""A slow, obvious ksmd over processes that live: they map, write, fork and exit.

Nothing here is fast, and nothing is shared with the engine. Page tables and indexes are
dicts, nodes are sets, and what can be counted anew is counted anew each time. Its
methods are those of `analyzer.machine.Machine`, so that one sequence of events can be
told to both. `reference.py` is the simpler model of a snapshot that stands still.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.profile import Profile

ZERO: Final = 0
"""The content of a page of zero bytes."""
HUGE: Final = 512

UNSTABLE: Final = "in the unstable index"
PLACED: Final = "the zero page, placed by ksmd"
PLAIN: Final = "the zero page"


@dataclass(eq=False)
class Page:
    """A physical page; a KSM page once it has a node."""

    content: int
    folio: int | None = None
    born: int | None = None
    """The scan in whose middle it was faulted in."""
    maps: int = 0
    node: "Node | None" = None


@dataclass(eq=False)
class Node:
    """A KSM page and the items that joined it."""

    page: Page
    members: set["Item"] = field(default_factory=set)

    @property
    def stale(self) -> bool:
        return self.page.maps == 0


@dataclass(eq=False)
class Copies:
    """The nodes of one content; two or more hang in a chain, and it may stay one."""

    nodes: list[Node]
    chain: bool = False
    pruned: int = 0


@dataclass(eq=False)
class Item:
    """What ksmd remembers of one address of one process."""

    process: "Process"
    vpn: int
    checksum: int | None = None
    age: int = 0
    skips: int = 0
    place: "Node | str | None" = None
    key: int | None = None
    """Under which it waits in the unstable index, or did."""

    @property
    def page(self) -> Page | None:
        return self.process.visible(self.vpn)

    def reset(self) -> None:
        self.checksum, self.age, self.skips = None, 0, 0


@dataclass(frozen=True)
class Area:
    pages: range
    mergeable: bool
    huge: bool


@dataclass(eq=False)
class Process:
    """One address space."""

    table: dict[int, Page | str] = field(default_factory=dict)
    areas: list[Area] = field(default_factory=list)
    items: dict[int, Item] = field(default_factory=dict)
    merge_any: bool = False
    listed: bool = False
    exited: bool = False
    start: dict[str, int] = field(default_factory=dict)
    """Figures that an old kernel's fork copied from the parent."""

    @property
    def mergeable(self) -> bool:
        return any(area.mergeable for area in self.areas)

    def visible(self, vpn: int) -> Page | None:
        """The page that ksmd finds at an address."""
        page = self.table.get(vpn)
        offered = any(vpn in area.pages and area.mergeable for area in self.areas)
        return page if isinstance(page, Page) and offered else None


class Ksmd:
    """Processes, and the ksmd of the kernel of *profile* under *knobs*."""

    def __init__(self, knobs: KsmKnobs, profile: Profile) -> None:
        self.knobs, self.profile = knobs, profile
        self.living: dict[str, Process] = {}
        self.list: list[Process] = []
        self.cursor: tuple[Process, int] | None = None
        self.stable: dict[int, Copies] = {}
        self.unstable: dict[int, Item] = {}
        self.now = self.scans = self.folios = 0
        self.idle = False
        self.zero_pages = self.full_scans = 0
        self.pages_scanned = self.pages_skipped = 0

    # What processes do.

    def spawn(self, proc: str) -> None:
        self.living[proc] = Process()

    def mmap(self, proc: str, start: int, n: int, mergeable: bool, huge: bool) -> None:
        process = self.living[proc]
        offered = mergeable or process.merge_any
        process.areas.append(Area(range(start, start + n), offered, huge))
        if offered:
            self._enter(process)

    def write(self, proc: str, start: int, contents: Sequence[int | None]) -> None:
        process = self.living[proc]
        for vpn, content in enumerate(contents, start):
            if content is not None:
                self._bring_in_huge_page(process, vpn)
                page = process.table.get(vpn)
                if isinstance(page, Page) and page.maps == 1 and page.node is None:
                    page.content = content
                else:
                    self._fault(process, vpn, content)

    def read(self, proc: str, start: int, n: int) -> None:
        for vpn in range(start, start + n):
            self.living[proc].table.setdefault(vpn, PLAIN)

    def discard(self, proc: str, start: int, n: int) -> None:
        for vpn in range(start, start + n):
            self._unmap(self.living[proc], vpn)

    def munmap(self, proc: str, start: int, n: int) -> None:
        self.discard(proc, start, n)
        self._cut(self.living[proc], range(start, start + n), None)

    def merge(self, proc: str, start: int, n: int) -> None:
        self._cut(self.living[proc], range(start, start + n), True)
        self._enter(self.living[proc])

    def unmerge(self, proc: str, start: int, n: int) -> None:
        self._unmerge(self.living[proc], range(start, start + n))
        self._cut(self.living[proc], range(start, start + n), False)

    def prctl(self, proc: str, on: bool) -> None:
        process = self.living[proc]
        if not self.profile.merge_any or process.merge_any == on:
            return
        process.merge_any = on
        if not on:
            for area in process.areas:
                if area.mergeable:
                    self._unmerge(process, area.pages)
        process.areas = [replace(area, mergeable=on) for area in process.areas]
        if on:
            self._enter(process)

    def fork(self, proc: str, child: str) -> None:
        parent = self.living[proc]
        made = self.living[child] = Process(
            areas=list(parent.areas), merge_any=parent.merge_any
        )
        for vpn, page in parent.table.items():
            made.table[vpn] = page
            if isinstance(page, Page):
                page.maps += 1
            elif page is PLACED and not self.profile.fork_copies_counters:
                self.zero_pages += 1
        if self.profile.fork_copies_counters:
            figures = self.process(proc)
            placed = sum(page is PLACED for page in parent.table.values())
            made.start = {**figures, "ksm_zero_pages": self._zeros(parent) - placed}
        if parent.listed:
            self._enter(made)

    def exit(self, proc: str) -> None:
        process = self.living.pop(proc)
        for vpn in list(process.table):
            self._unmap(process, vpn)
        process.exited, process.areas = True, []
        if not process.listed or (self.cursor and self.cursor[0] is process):
            return
        self.list.remove(process)
        if process.items:
            behind = self.list.index(self.cursor[0]) + 1 if self.cursor else 0
            self.list.insert(behind, process)

    # What the administrator does.

    def set_knob(self, name: str, value: int) -> None:
        files = {key: str(old) for key, old in self.knobs.as_files().items()}
        self.knobs = KsmKnobs.from_files(files | {name: str(value)})

    def sleep(self, ms: int) -> None:
        self.now += ms

    def pause(self) -> None:
        self.idle = False

    def unmerge_all(self) -> None:
        for process in list(self.list):
            for area in process.areas:
                if area.mergeable:
                    self._unmerge(process, area.pages)
            self._free(process, list(process.items))
            if process.exited:
                self.list.remove(process)
        for content, copies in list(self.stable.items()):
            for node in list(copies.nodes):
                if node.stale:
                    self._dissolve(node)
            if not copies.nodes:
                self.stable.pop(content, None)
        self.cursor = None
        self.unstable.clear()
        self.full_scans = 0
        self.scans += 1
        self.idle = False

    # The scan: what is visited, in which order, and at which cost.

    def wake_up(self) -> bool:
        """One wake-up with a budget of pages_to_scan; True if it ended a full scan."""
        return any(self._step() for _ in range(self.knobs.pages_to_scan))

    def full_scan(self) -> None:
        while not self._step():
            pass

    def _step(self) -> bool:
        """Process one page; True if instead the end of the list was reached."""
        if not self.list:
            self.idle = True
            return True
        if self.cursor is None:
            self.unstable.clear()
            self.cursor = self.list[0], 0
        item = self._next()
        self.idle = not self.list
        if item is None:
            self.full_scans += 1
            self.scans += 1
            return True
        self._merge(item)
        self.pages_scanned += 1
        return False

    def _next(self) -> Item | None:
        while self.cursor:
            process, first = self.cursor
            for vpn in sorted(process.table):
                page = process.visible(vpn)
                if vpn < first or page is None:
                    continue
                self._free(process, [x for x in process.items if first <= x < vpn])
                item = process.items.setdefault(vpn, Item(process, vpn))
                first = vpn + 1
                if not self._skip(item, page):
                    self.cursor = process, first
                    return item
            began = self.cursor[1]
            gone = process.exited or not (process.mergeable or began)
            self._free(process, [x for x in process.items if x >= first or gone])
            behind = self.list.index(process) + 1
            after = self.list[behind] if behind < len(self.list) else None
            if gone:
                self.list.remove(process)
                process.listed = False
            self.cursor = (after, 0) if after else None
        return None

    def _skip(self, item: Item, page: Page) -> bool:
        """Smart scan: a page that stayed unmerged is left out ever more often."""
        if not (self.knobs.smart_scan and self.profile.smart_scan) or page.node:
            return False
        if self.profile.stable_resets and isinstance(item.place, Node):
            return False
        age = item.age
        item.age = min(age + 1, 255)
        if age < 3:
            return False
        if item.skips == 0:
            item.skips = 1 if age == 3 else 2 if age <= 5 else 4 if age <= 8 else 8
            return False
        item.skips -= 1
        self.pages_skipped += 1
        self._leave(item)
        return True

    # One page: from the checksum to a node.

    def _merge(self, item: Item) -> None:
        page = item.page
        assert page is not None
        if page.node is not None:
            if item.place is not page.node:
                self._leave(item)
                self._join(item, page.node)
            return
        if self.profile.stable_first:
            node = self._node_with_room(page.content)
            self._leave(item)
            done = self._try_to_join(item, page, node) or self._gate(item, page)
        else:
            self._leave(item)
            if self._gate(item, page):
                return
            node = self._node_with_room(page.content)
            done = self._try_to_join(item, page, node)
        if not done:
            self._look_for_partner(item, page)

    def _gate(self, item: Item, page: Page) -> bool:
        """The checksum, and zero pages: whether that was all."""
        if item.checksum != page.content:
            item.checksum = page.content
            return True
        if not self.knobs.use_zero_pages or page.content != ZERO:
            return False
        self._split(page)
        if item.page is not page or self._pinned(page):
            # The split itself mapped the zero page; ksmd goes on with the old one.
            return False
        self._map(item.process, item.vpn, PLACED)
        if self.profile.count_zero_pages:
            self.zero_pages += 1
        return True

    def _try_to_join(self, item: Item, page: Page, node: Node | None) -> bool:
        """Whether there was room in *node*, even if the page cannot take it now."""
        if node is None:
            return False
        if not self._pinned(page):
            self._split(page)
            if item.page is page:
                self._map(item.process, item.vpn, node.page)
                self._join(item, node)
        return True

    def _look_for_partner(self, item: Item, page: Page) -> None:
        partner = self.unstable.get(page.content)
        other = partner.page if partner else None
        if partner and (other is None or other is page):
            return
        if partner is None or other is None or other.content != page.content:
            self.unstable[page.content] = item
            item.place, item.key = UNSTABLE, page.content
            return
        same_folio = page.folio is not None and page.folio == other.folio
        self._split(page)
        if same_folio or item.page is not page:
            return
        self._split(other)
        if partner.page is not other:
            # The page had been made a KSM page already; undoing that copies it.
            self._map(item.process, item.vpn, Page(page.content))
            return
        if self._pinned(page):
            return
        if self._pinned(other):
            self._map(item.process, item.vpn, Page(page.content, born=self.scans))
            return
        self._map(partner.process, partner.vpn, page)
        self._leave(partner)
        self._join_two(partner, item, page)

    def _join_two(self, first: Item, second: Item, page: Page) -> None:
        met = self._look(page.content, searching=False)
        page.node = Node(page)
        copies = self.stable.setdefault(page.content, Copies([]))
        copies.nodes.insert(0, page.node)
        if met and not copies.chain:
            copies.chain, copies.pruned = True, self.now
        self._join(first, page.node)
        self._join(second, page.node)

    # The stable index: nodes, chains, stale nodes.

    def _node_with_room(self, content: int) -> Node | None:
        node = self._look(content, searching=True)
        return node if node and self._has_room(node) else None

    def _look(self, content: int, searching: bool) -> Node | None:
        """The node a page of this content meets; it may be full."""
        copies = self.stable.get(content)
        if copies is None:
            return None
        if not copies.chain:
            if copies.nodes[0].stale:
                self._dissolve(copies.nodes[0])
                return None
            return copies.nodes[0]
        prune_ms = self.knobs.stable_node_chains_prune_millisecs
        thorough = searching and self.now >= copies.pruned + prune_ms
        if thorough:
            copies.pruned = self.now
        alive = []
        found: Node | None = None
        for node in list(copies.nodes):
            if node.stale:
                self._dissolve(node)
                continue
            alive.append(node)
            if self._has_room(node) and (
                found is None or len(node.members) > len(found.members)
            ):
                found = node
                if not thorough:
                    break
        if not copies.nodes:
            self.stable.pop(content, None)
            return None
        if self.profile.old_chains:
            if found is None:
                return copies.nodes[0]
            collapses = thorough and len(alive) == 1
        else:
            found = found or copies.nodes[0]
            collapses = len(copies.nodes) == 1
        if collapses:
            copies.chain = False
        elif 0 < len(found.members) < self.knobs.max_page_sharing - 1:
            # Room for two more: it is looked at first from now on.
            copies.nodes.remove(found)
            copies.nodes.insert(0, found)
        return found

    def _has_room(self, node: Node) -> bool:
        return 0 < len(node.members) < self.knobs.max_page_sharing

    def _dissolve(self, node: Node) -> None:
        content = node.page.content
        copies = self.stable[content]
        copies.nodes.remove(node)
        if not copies.nodes and not copies.chain:
            del self.stable[content]
        for item in node.members:
            item.place = None
            if self.profile.stable_resets:
                item.reset()
        node.members.clear()

    def _join(self, item: Item, node: Node) -> None:
        node.members.add(item)
        item.place = node

    def _leave(self, item: Item) -> None:
        if isinstance(item.place, Node):
            node = item.place
            if node.stale:
                self._dissolve(node)
            else:
                node.members.remove(item)
                item.place = None
                if self.profile.stable_resets:
                    item.reset()
        elif item.place == UNSTABLE:
            item.place = None
            if item.key is not None and self.unstable.get(item.key) is item:
                del self.unstable[item.key]

    # Page tables.

    def _map(self, process: Process, vpn: int, page: Page | str) -> None:
        self._unmap(process, vpn)
        process.table[vpn] = page
        if isinstance(page, Page):
            page.maps += 1

    def _unmap(self, process: Process, vpn: int) -> None:
        page = process.table.pop(vpn, None)
        if isinstance(page, Page):
            page.maps -= 1
        elif page is PLACED and self.profile.count_zero_pages:
            self.zero_pages -= 1

    def _fault(self, process: Process, vpn: int, content: int) -> Page:
        page = Page(content, born=self.scans if self.cursor else None)
        self._map(process, vpn, page)
        return page

    def _pinned(self, page: Page) -> bool:
        """Faulted in during this scan: a processor's batch still refers to it."""
        return page.born == self.scans

    def _bring_in_huge_page(self, process: Process, vpn: int) -> None:
        block = range(vpn - vpn % HUGE, vpn - vpn % HUGE + HUGE)
        huge = any(area.huge and vpn in area.pages for area in process.areas)
        if huge and not any(other in process.table for other in block):
            self.folios += 1
            for other in block:
                self._fault(process, other, ZERO).folio = self.folios

    def _split(self, page: Page) -> None:
        """Split the huge page; its zero pages are given up, since 6.12."""
        folio = page.folio
        if folio is None:
            return
        pieces = [
            (process, vpn, other)
            for process in self.living.values()
            for vpn, other in process.table.items()
            if isinstance(other, Page) and other.folio == folio
        ]
        for process, vpn, other in pieces:
            other.folio = None
            if self.profile.split_zero and other.content == ZERO:
                self._map(process, vpn, PLAIN)
        page.folio = None

    def _unmerge(self, process: Process, pages: range) -> None:
        for vpn in list(pages):
            page = process.table.get(vpn)
            if isinstance(page, Page) and page.node:
                self._fault(process, vpn, page.content)
            elif page is PLACED and self.profile.count_zero_pages:
                self._fault(process, vpn, ZERO)

    def _cut(self, process: Process, pages: range, mergeable: bool | None) -> None:
        """Mark a range, or take it out of all areas where *mergeable* is None."""
        areas = []
        for area in process.areas:
            whole = area.pages
            low, high = max(whole.start, pages.start), min(whole.stop, pages.stop)
            if low >= high:
                areas.append(area)
                continue
            for part in (range(whole.start, low), range(high, whole.stop)):
                if part:
                    areas.append(replace(area, pages=part))
            if mergeable is not None:
                inside = range(low, high)
                areas.append(replace(area, pages=inside, mergeable=mergeable))
        process.areas = areas

    def _enter(self, process: Process) -> None:
        if process.listed:
            return
        process.listed = True
        found_empty = self.idle and not self.list
        place = self.list.index(self.cursor[0]) if self.cursor else len(self.list)
        self.list.insert(place, process)
        if found_empty:
            self.wake_up()

    def _free(self, process: Process, vpns: list[int]) -> None:
        for vpn in sorted(vpns):
            self._leave(process.items.pop(vpn))

    # What the kernel would report.

    def counters(self) -> KsmCounters:
        items = list(self._items())
        nodes = [node for copies in self.stable.values() for node in copies.nodes]
        chains = [copies for copies in self.stable.values() if copies.chain]
        shared = sum(bool(node.members) for node in nodes)
        members = sum(len(node.members) for node in nodes)
        unshared = sum(item.place == UNSTABLE for item in items)
        saved = members - shared + self.zero_pages
        return KsmCounters(
            pages_shared=shared,
            pages_sharing=members - shared,
            pages_unshared=unshared,
            pages_volatile=max(len(items) - members - unshared, 0),
            pages_skipped=self.pages_skipped,
            pages_scanned=self.pages_scanned,
            full_scans=self.full_scans,
            ksm_zero_pages=self.zero_pages,
            stable_node_chains=len(chains),
            stable_node_dups=sum(len(copies.nodes) for copies in chains),
            rmap_items=len(items),
            general_profit=4096 * saved - 64 * len(items),
        )

    def process(self, proc: str) -> dict[str, int]:
        """The figures of /proc/PID/ksm_stat."""
        process = self.living[proc]
        start, items = process.start, process.items.values()
        rmap_items = len(items) + start.get("ksm_rmap_items", 0)
        merging = sum(isinstance(item.place, Node) for item in items)
        merging += start.get("ksm_merging_pages", 0)
        zero = self._zeros(process)
        return {
            "ksm_rmap_items": rmap_items,
            "ksm_zero_pages": zero,
            "ksm_merging_pages": merging,
            "ksm_process_profit": 4096 * (merging + zero) - 64 * rmap_items,
        }

    def _zeros(self, process: Process) -> int:
        if not self.profile.count_zero_pages:
            return 0
        placed = sum(page is PLACED for page in process.table.values())
        return placed + process.start.get("ksm_zero_pages", 0)

    def _items(self) -> Iterator[Item]:
        listed = set(self.list) | set(self.living.values())
        for process in listed:
            yield from process.items.values()
