"""A slow, obvious ksmd over a frozen snapshot, to hold the engine against.

Nothing here is fast, and nothing is shared with the engine. Page tables and indexes
are dicts, nodes are sets, and most counters are counted anew each time they are asked
for, so that they cannot drift. The model is kernel 6.18's; dicts by content stand in
for the kernel's trees, which over a frozen snapshot find the same pages.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Final, NamedTuple

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs

ZERO: Final = 0
"""The content of a page of zero bytes; every other content is just a name."""

UNSTABLE: Final = "in the unstable index"


class Page(NamedTuple):
    """A present anonymous page of a process, as the snapshot found it."""

    vpn: int
    frame: Hashable
    """Equal frames are one physical page, still shared by fork."""
    content: Hashable
    folio: Hashable = None
    """The huge page it is part of."""
    nid: int = 0


@dataclass(eq=False)
class Frame:
    """A physical page; a KSM page once it has a node."""

    content: Hashable
    folio: Hashable = None
    nid: int = 0
    node: "Node | None" = None


@dataclass(eq=False)
class Item:
    """What ksmd remembers of one address of one process."""

    process: "Process"
    vpn: int
    checksum: Hashable = None
    age: int = 0
    skips: int = 0
    place: "Node | str | None" = None
    key: Hashable = None
    """Under which it waits in the unstable index, or did in an earlier scan."""

    @property
    def frame(self) -> Frame | None:
        """The page at this address, unless it is the zero page by now."""
        return self.process.table.get(self.vpn)


@dataclass(eq=False)
class Node:
    """A KSM page and the items that share it."""

    frame: Frame
    members: set[Item] = field(default_factory=set)


@dataclass(eq=False)
class Process:
    """One address space on ksmd's list."""

    table: dict[int, Frame]
    items: dict[int, Item] = field(default_factory=dict)
    zeroed: set[int] = field(default_factory=set)
    """Where ksmd placed the zero page: counted."""
    vanished: set[int] = field(default_factory=set)
    """Where a split placed the zero page: counted nowhere."""


class Saved(NamedTuple):
    """Physical frames before less after, by content."""

    zero: int
    nonzero: int
    by_split: int
    """The part of `zero` that the splitting of huge pages freed."""


class Ksmd:
    """ksmd over *processes*, which are listed in the order of registration."""

    def __init__(
        self, processes: Sequence[Sequence[Page]], knobs: KsmKnobs | None = None
    ) -> None:
        self.knobs = knobs or KsmKnobs()
        self.processes: list[Process] = []
        frames: dict[Hashable, Frame] = {}
        for pages in processes:
            table = {
                page.vpn: frames.setdefault(
                    page.frame, Frame(page.content, page.folio, page.nid)
                )
                for page in sorted(pages)
            }
            self.processes.append(Process(table))
        self.tables_before = [dict(process.table) for process in self.processes]
        self.stable: dict[Hashable, list[Node]] = defaultdict(list)
        self.unstable: dict[Hashable, Item] = {}
        self.pages_scanned = self.pages_skipped = self.full_scans = 0
        self.scan: Iterator[tuple[Item, Frame]] | None = None

    # The scan: what is visited, in which order, and at which cost.

    def wake_up(self) -> bool:
        """One wake-up with a budget of pages_to_scan; True if it ended a full scan.

        To find out that the list is at its end costs one page of the budget.
        """
        for _ in range(self.knobs.pages_to_scan):
            if self.scan is None:
                self.unstable.clear()
                self.scan = self._visits()
            visit = next(self.scan, None)
            if visit is None:
                self.scan = None
                self.full_scans += 1
                return True
            self._merge(*visit)
            self.pages_scanned += 1
        return False

    def full_scan(self) -> int:
        """Wake up until a full scan has ended; how often that took."""
        wakeups = 1
        while not self.wake_up():
            wakeups += 1
        return wakeups

    def _visits(self) -> Iterator[tuple[Item, Frame]]:
        """The pages to process in a full scan, each at the moment it is due.

        An address is looked up only when the cursor gets there: what happened in the
        same scan, further down, counts.
        """
        for process in self.processes:
            addresses = sorted(process.table.keys() | process.items.keys())
            passed_over = []
            for vpn in addresses:
                frame = process.table.get(vpn)
                if frame is None:
                    passed_over.append(vpn)
                    continue
                self._free(process, passed_over)
                item = process.items.setdefault(vpn, Item(process, vpn))
                if not self._skip(item, frame):
                    yield item, frame
            self._free(process, passed_over)

    def _free(self, process: Process, passed_over: list[int]) -> None:
        for vpn in passed_over:
            if vpn in process.items:
                self._leave(process.items.pop(vpn))
        passed_over.clear()

    def _skip(self, item: Item, frame: Frame) -> bool:
        """Smart scan: a page that stayed unmerged is left out ever more often."""
        if not self.knobs.smart_scan or frame.node is not None:
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

    def _merge(self, item: Item, frame: Frame) -> None:
        if frame.node is not None:
            if item.place is not frame.node:
                self._leave(item)
                self._join(item, frame.node)
            return
        self._leave(item)
        if item.checksum != frame.content:
            item.checksum = frame.content
            return
        if self.knobs.use_zero_pages and frame.content == ZERO:
            self._split(frame)
            if item.frame is frame:
                self._map_zero_page(item)
                return
            # The split itself has mapped the zero page here. ksmd misses that and
            # goes on with a page that is no longer anybody's.
        node = self._node_with_room(frame)
        if node is None:
            self._look_for_partner(item, frame)
        else:
            self._split(frame)
            if item.frame is frame:
                self._switch(item, node.frame)
                self._join(item, node)

    def _look_for_partner(self, item: Item, frame: Frame) -> None:
        key = self._key(frame)
        if key not in self.unstable:
            self.unstable[key] = item
            item.place, item.key = UNSTABLE, key
            return
        partner = self.unstable[key]
        if partner.frame is None or partner.frame is frame:
            # Either the partner's page vanished in a split, or it is this very page,
            # shared by fork: both times ksmd gives up.
            return
        same_folio = frame.folio is not None and frame.folio == partner.frame.folio
        self._split(frame)
        if same_folio or item.frame is not frame:
            return
        self._split(partner.frame)
        if partner.frame is None:
            # The page had been made a KSM page already; undoing that copies it.
            item.process.table[item.vpn] = Frame(frame.content, nid=frame.nid)
            return
        self._switch(partner, frame)
        self._leave(partner)
        frame.node = Node(frame)
        self.stable[key].append(frame.node)
        self._join(partner, frame.node)
        self._join(item, frame.node)

    def _node_with_room(self, frame: Frame) -> Node | None:
        for node in self.stable[self._key(frame)]:
            if len(node.members) < self.knobs.max_page_sharing:
                return node
        return None

    def _key(self, frame: Frame) -> Hashable:
        """Where the indexes keep this content: one index per node of the machine,
        unless pages may merge across nodes."""
        return frame.content, 0 if self.knobs.merge_across_nodes else frame.nid

    def _join(self, item: Item, node: Node) -> None:
        node.members.add(item)
        item.place = node

    def _leave(self, item: Item) -> None:
        if isinstance(item.place, Node):
            item.place.members.remove(item)
        if self.unstable.get(item.key) is item:
            del self.unstable[item.key]
        item.place = item.key = None

    def _switch(self, item: Item, frame: Frame) -> None:
        item.process.table[item.vpn] = frame

    def _map_zero_page(self, item: Item) -> None:
        del item.process.table[item.vpn]
        item.process.zeroed.add(item.vpn)

    def _split(self, frame: Frame) -> None:
        """Split the huge page that *frame* is part of; its zero pages are given up
        for the shared zero page, in every process that maps them."""
        folio = frame.folio
        if folio is None:
            return
        for process in self.processes:
            for vpn, other in list(process.table.items()):
                if other.folio == folio and other.content == ZERO:
                    del process.table[vpn]
                    process.vanished.add(vpn)
        for process in self.processes:
            for other in process.table.values():
                if other.folio == folio:
                    other.folio = None
        frame.folio = None

    # What the kernel would report.

    def counters(self) -> KsmCounters:
        items = [item for p in self.processes for item in p.items.values()]
        nodes = [node for nodes in self.stable.values() for node in nodes]
        chains = [nodes for nodes in self.stable.values() if len(nodes) > 1]
        shared = sum(bool(node.members) for node in nodes)
        members = sum(len(node.members) for node in nodes)
        unshared = sum(item.place is UNSTABLE for item in items)
        zeroed = sum(len(process.zeroed) for process in self.processes)
        return KsmCounters(
            pages_shared=shared,
            pages_sharing=members - shared,
            pages_unshared=unshared,
            pages_volatile=len(items) - members - unshared,
            pages_skipped=self.pages_skipped,
            pages_scanned=self.pages_scanned,
            full_scans=self.full_scans,
            ksm_zero_pages=zeroed,
            stable_node_chains=len(chains),
            stable_node_dups=sum(map(len, chains)),
            rmap_items=len(items),
            general_profit=4096 * (members - shared + zeroed) - 64 * len(items),
        )

    def process(self, number: int) -> dict[str, int]:
        """The figures of /proc/PID/ksm_stat."""
        process = self.processes[number]
        items = len(process.items)
        merging = sum(isinstance(i.place, Node) for i in process.items.values())
        zeroed = len(process.zeroed)
        return {
            "ksm_rmap_items": items,
            "ksm_merging_pages": merging,
            "ksm_zero_pages": zeroed,
            "ksm_process_profit": 4096 * (merging + zeroed) - 64 * items,
        }

    def unmerged(self, number: int) -> tuple[int, int]:
        """A process's items in the unstable index, and those that wait outside."""
        process = self.processes[number]
        places = [i.place for i in process.items.values() if i.vpn in process.table]
        unstable = [i for i in process.items.values() if i.place is UNSTABLE]
        return len(unstable), places.count(None)

    # What it is worth.

    def saved(self) -> list[tuple[Fraction, Fraction, Fraction]]:
        """Of each process: zero, non-zero, and the part of zero that splits freed.

        A page that m addresses map is 1/m of a page at each of them; the zero page
        costs nothing.
        """
        before = Counter(f for table in self.tables_before for f in table.values())
        after = Counter(f for p in self.processes for f in p.table.values())
        rows = []
        for process, table_before in zip(
            self.processes, self.tables_before, strict=True
        ):
            zero = nonzero = by_split = Fraction(0)
            for vpn, frame in table_before.items():
                saving = Fraction(1, before[frame])
                if vpn in process.table:
                    saving -= Fraction(1, after[process.table[vpn]])
                if frame.content == ZERO:
                    zero += saving
                else:
                    nonzero += saving
                if vpn in process.vanished:
                    by_split += saving
            rows.append((zero, nonzero, by_split))
        return rows

    def savings(self) -> Saved:
        """Of all processes together: whole frames."""
        totals = [sum(column) for column in zip(*self.saved(), strict=True)]
        assert all(total.denominator == 1 for total in totals)
        return Saved(*map(int, totals))


def whole_pages(shares: Sequence[Fraction], pids: Sequence[int]) -> list[int]:
    """*shares*, whose sum is whole, rounded to whole pages with the same sum.

    Every share is rounded down; the pages left over go to the largest remainders,
    and among equal ones to the lower pid.
    """
    pages = [floor(share) for share in shares]
    left_over = int(sum(shares)) - sum(pages)
    by_remainder = sorted(
        range(len(shares)), key=lambda i: (pages[i] - shares[i], pids[i])
    )
    for i in by_remainder[:left_over]:
        pages[i] += 1
    return pages
