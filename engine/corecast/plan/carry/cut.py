"""A weighted graph between two ends in, the cheapest way to part them out: a minimum cut, by Dinic's algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterable

# The two ends; every other node has a number from 2.
SOURCE, SINK = 0, 1


class Graph:
    """A directed graph with capacities, of which only that is made which the source reaches.

    `grow` is called with each node that is reached, once, and gives it the arcs that it does not have yet.
    """

    def __init__(self, grow: Callable[[int], None]) -> None:
        self._grow = grow
        self._grown: set[int] = set()
        self._arcs: list[list[int]] = [[], []]  # the arcs that leave each node, by number
        self._heads: list[int] = []
        self._left: list[float] = []  # what an arc can still carry; arc `a ^ 1` is arc `a` the other way round

    def node(self) -> int:
        self._arcs.append([])
        return len(self._arcs) - 1

    def arc(self, tail: int, head: int, capacity: float) -> None:
        """It costs `capacity`, perhaps infinity, to have `tail` on the source's side and `head` on the sink's."""
        self._arcs[tail].append(len(self._heads))
        self._arcs[head].append(len(self._heads) + 1)
        self._heads += (head, tail)
        self._left += (capacity, 0)

    def whole(self, nodes: Iterable[int]) -> set[int]:
        """These nodes and all that hang together with them otherwise than through the ends."""
        found = set(nodes)
        queue = list(found)
        for node in queue:
            self._reach(node)
            for arc in self._arcs[node]:
                head = self._heads[arc]
                if head not in found and head not in (SOURCE, SINK):
                    found.add(head)
                    queue.append(head)
        return found

    def _reach(self, node: int) -> None:
        if node not in self._grown:
            self._grown.add(node)
            self._grow(node)

    def cut(self) -> set[int]:
        """What is on the source's side of the cheapest cut; of several, the one nearest the source."""
        while SINK in (levels := self._levels()):
            self._saturate(levels)
        return set(levels)

    def _levels(self) -> dict[int, int]:
        """How far each node is from the source, by arcs that can still carry something."""
        heads, left = self._heads, self._left
        levels = {SOURCE: 0}
        queue = [SOURCE]
        for node in queue:
            if node == SINK:
                break
            self._reach(node)
            for arc in self._arcs[node]:
                head = heads[arc]
                if left[arc] and head not in levels:
                    levels[head] = levels[node] + 1
                    queue.append(head)
        return levels

    def _saturate(self, levels: dict[int, int]) -> None:
        """Send flow along shortest ways until each of them is blocked."""
        heads, left = self._heads, self._left
        tried: dict[int, int] = {}  # how many of a node's arcs are blocked
        way: list[int] = []
        node = SOURCE
        while True:
            if node == SINK:
                most = min(left[arc] for arc in way)
                for arc in way:
                    left[arc] -= most
                    left[arc ^ 1] += most
                blocked = next(place for place, arc in enumerate(way) if not left[arc])
                node = heads[way[blocked] ^ 1]
                del way[blocked:]
                continue
            arcs = self._arcs[node]
            place = tried.get(node, 0)
            deeper = levels[node] + 1
            while place < len(arcs) and not (left[arcs[place]] and levels.get(heads[arcs[place]]) == deeper):
                place += 1
            tried[node] = place
            if place < len(arcs):
                way.append(arcs[place])
                node = heads[arcs[place]]
            elif way:
                node = heads[way.pop() ^ 1]
                tried[node] += 1
            else:
                return
