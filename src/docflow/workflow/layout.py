"""Where the parts of a workflow's picture go: a small layered layout, for any workflow. Pure.

Rules:
1. States stand in rows by their distance from the initial state; between two rows of states is a row
   of labels, one label a transition, however many states it leaves.
2. A line between parts that are not in neighbouring rows bends through every row between, and has
   its own room there, so that no line runs through a box or a text. Lines of one transition that
   run the same way share their bends, as a bus.
3. Order within rows is by crossings (barycentres, then swaps); positions are least squares under the
   order with room between neighbours. The same workflow always gives the same picture.

The method is Sugiyama's (K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of
Hierarchical System Structures", 1981), with labels as nodes.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from docflow.workflow.definition import WorkflowDefinition

GAP_Y: Final = 26.0
_GAP_X: Final = 26.0
_BEND_WIDTH: Final = 10.0
_SWEEPS: Final = 24
_SWAPPED: Final = 30  # rows with more parts are ordered by barycentres alone
_LARGE: Final = 1500  # pictures with more parts are ordered and placed with a quarter of the care
_RELAXATIONS: Final = 200
_FIRM: Final = 1e9
_PULL: Final = 0.15

Size = tuple[float, float]


@dataclass(slots=True, eq=False)
class Part:
    """A state's box, a transition's label, or a bend of a line. `x` and `y` are its middle."""

    kind: str  # "state", "label" or "bend"
    name: str
    row: int
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A piece of a line between parts of neighbouring rows; the last one carries the arrow."""

    trigger: str
    start: Part
    end: Part
    arrow: bool


@dataclass(slots=True)
class Layout:
    """The finished layout, in pixels."""

    states: dict[str, Part] = field(default_factory=dict)
    labels: dict[str, Part] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    rows: list[list[Part]] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    spine: frozenset[str] = frozenset()
    spine_states: frozenset[str] = frozenset()
    width: float = 0.0
    height: float = 0.0

    def top(self, row: int) -> float:
        """Return the upper edge of a row."""
        return sum(self.heights[:row]) + GAP_Y * row

    def bottom(self, row: int) -> float:
        """Return the lower edge of a row."""
        return self.top(row) + self.heights[row]


def lay_out(
    definition: WorkflowDefinition, boxes: Mapping[str, Size], labels: Mapping[str, Size]
) -> Layout:
    """Place a workflow's states and transitions.

    Args:
        definition: a workflow in which every state can be reached.
        boxes: state → width and height of its box.
        labels: trigger → width and height of its label.
    """
    ranks = rank_states(definition)
    layout = Layout()
    layout.spine, layout.spine_states = _spine(definition, ranks)
    for name, (width, height) in boxes.items():
        layout.states[name] = Part("state", name, 2 * ranks[name], width, height)
    for trigger, (width, height) in labels.items():
        _wire(layout, definition, trigger, (width, height), ranks)
    parts = [*layout.states.values(), *_others(layout)]
    layout.rows = [[] for _ in range(max(part.row for part in parts) + 1)]
    for part in parts:
        layout.rows[part.row].append(part)
    layout.heights = [max((p.height for p in row), default=0.0) for row in layout.rows]
    neighbours = _neighbours(layout)
    _order(layout.rows, neighbours)
    _place(layout, neighbours)
    left = min(part.x - part.width / 2 for part in parts)
    for part in parts:
        part.x -= left
        part.y = layout.top(part.row) + layout.heights[part.row] / 2
    layout.width = max(part.x + part.width / 2 for part in parts)
    layout.height = layout.bottom(len(layout.rows) - 1)
    return layout


def rank_states(definition: WorkflowDefinition) -> dict[str, int]:
    """Return each state's row: its longest distance from the start, returns not counted."""
    forward: dict[str, list[str]] = {name: [] for name in definition.states}
    done: list[str] = []
    on_way: set[str] = set()

    def visit(state: str) -> None:
        on_way.add(state)
        for trigger in definition.leaving(state):
            target = definition.transitions[trigger].to
            if target in on_way:
                continue  # a way back
            forward[state].append(target)
            if target not in done:
                visit(target)
        on_way.discard(state)
        done.append(state)

    visit(definition.initial)
    for state in definition.states:
        if state not in done:
            visit(state)
    ranks = dict.fromkeys(definition.states, 0)
    for state in reversed(done):  # a topological order of the ways forward
        for target in forward[state]:
            ranks[target] = max(ranks[target], ranks[state] + 1)
    return ranks


def _spine(
    definition: WorkflowDefinition, ranks: Mapping[str, int]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return triggers and states of the longest way through, drawn as one straight line."""
    state = max(ranks, key=lambda name: ranks[name])
    triggers, states = set(), {state}
    while ranks[state] > 0:
        trigger, state = next(
            (trigger, source)
            for trigger, transition in definition.transitions.items()
            for source in transition.from_
            if transition.to == state and ranks[source] == ranks[state] - 1
        )
        triggers.add(trigger)
        states.add(state)
    return frozenset(triggers), frozenset(states)


def goes_back(definition: WorkflowDefinition, trigger: str, ranks: Mapping[str, int]) -> bool:
    """Tell whether a transition leads back: to a state above (or at) all that it leaves."""
    transition = definition.transitions[trigger]
    return all(ranks[source] >= ranks[transition.to] for source in transition.from_)


def _wire(
    layout: Layout,
    definition: WorkflowDefinition,
    trigger: str,
    size: Size,
    ranks: Mapping[str, int],
) -> None:
    """Add a transition's label next to its target, and the lines from all that it leaves."""
    transition = definition.transitions[trigger]
    target = layout.states[transition.to]
    row = target.row + (1 if goes_back(definition, trigger, ranks) else -1)
    label = Part("label", trigger, row, *size)
    layout.labels[trigger] = label
    bends: dict[int, Part] = {}
    for source in sorted(transition.from_, key=lambda name: -abs(2 * ranks[name] - row)):
        part = layout.states[source]
        step = 1 if part.row < row else -1
        for bend_row in range(part.row + step, row, step):
            known = bends.get(bend_row)
            bend = known or Part("bend", trigger, bend_row, _BEND_WIDTH, 0.0)
            bends[bend_row] = bend
            layout.segments.append(Segment(trigger, part, bend, arrow=False))
            part = bend
            if known is not None:
                break  # from here on the line is on the bus
        else:
            layout.segments.append(Segment(trigger, part, label, arrow=False))
    layout.segments.append(Segment(trigger, label, target, arrow=True))


def _others(layout: Layout) -> Iterable[Part]:
    """Return labels and bends, each once, in the order of the transitions."""
    found: dict[int, Part] = {}
    for segment in layout.segments:
        for part in (segment.start, segment.end):
            if part.kind != "state":
                found.setdefault(id(part), part)
    return found.values()


_Neighbours = dict[int, list[Part]]


def _neighbours(layout: Layout) -> _Neighbours:
    """Return what each part is tied to by segments."""
    tied: _Neighbours = {id(part): [] for row in layout.rows for part in row}
    for segment in layout.segments:
        tied[id(segment.start)].append(segment.end)
        tied[id(segment.end)].append(segment.start)
    return tied


def _order(rows: list[list[Part]], neighbours: _Neighbours) -> None:
    """Order each row so that few lines cross; the best order seen wins."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows, neighbours)
    for sweep in range(_SWEEPS // _haste(rows)):
        down = sweep % 2 == 0
        for row in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            beside = rows[row - 1 if down else row + 1]
            index = {id(part): i for i, part in enumerate(beside)}
            current = {id(part): i for i, part in enumerate(rows[row])}
            rows[row].sort(key=lambda p: _barycentre(p, neighbours, index, current[id(p)]))
        _swap(rows, neighbours)
        crossings = _crossings(rows, neighbours)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in rows]
    for row, order in enumerate(best):
        rows[row][:] = order


def _haste(rows: list[list[Part]]) -> int:
    return 4 if sum(len(row) for row in rows) > _LARGE else 1


def _barycentre(
    part: Part, neighbours: _Neighbours, index: Mapping[int, int], current: int
) -> float:
    places = [index[id(other)] for other in neighbours[id(part)] if id(other) in index]
    return sum(places) / len(places) if places else float(current)


def _swap(rows: list[list[Part]], neighbours: _Neighbours) -> None:
    """Swap neighbours within rows for as long as that removes crossings."""
    for number, row in enumerate(rows):
        for i in range(len(row) - 1 if len(row) <= _SWAPPED else 0):
            before = _crossings_at(rows, number, neighbours)
            row[i], row[i + 1] = row[i + 1], row[i]
            if _crossings_at(rows, number, neighbours) >= before:
                row[i], row[i + 1] = row[i + 1], row[i]


def _crossings_at(rows: list[list[Part]], number: int, neighbours: _Neighbours) -> int:
    return sum(
        _between(rows[upper], rows[upper + 1], neighbours)
        for upper in (number - 1, number)
        if 0 <= upper < len(rows) - 1
    )


def _crossings(rows: list[list[Part]], neighbours: _Neighbours) -> int:
    return sum(_between(upper, lower, neighbours) for upper, lower in pairwise(rows))


def _between(upper: list[Part], lower: list[Part], neighbours: _Neighbours) -> int:
    index = {id(part): i for i, part in enumerate(lower)}
    ends = [
        place
        for part in upper
        for place in sorted(index[id(o)] for o in neighbours[id(part)] if id(o) in index)
    ]
    crossings, seen = 0, list[int]()
    for end in ends:
        crossings += len(seen) - bisect_right(seen, end)
        insort(seen, end)
    return crossings


def _place(layout: Layout, neighbours: _Neighbours) -> None:
    """Give every part its x: the spine and each line straight, in order, with room between.

    The spine stands at 0. Every other part aims at the mean of its line, drawn a little to what the
    line is tied to; parts that are pushed aside by others take their line along.
    """
    for row in layout.rows:
        x = 0.0
        for part in row:
            part.x = x + part.width / 2
            x += part.width + _GAP_X
        at = next((part.x for part in row if _line_of(part, layout) == ""), x / 2)
        for part in row:
            part.x -= at
    lines: dict[str, list[Part]] = {}
    for row in layout.rows:
        for part in row:
            lines.setdefault(_line_of(part, layout), []).append(part)
    turns = _RELAXATIONS // _haste(layout.rows)
    for turn in range(turns):
        pull = _PULL if turn < turns / 2 else 0.0  # at last only straightness counts
        aims = {
            name: _aim(parts, neighbours, max(pull, _PULL * name.startswith("state ")))
            for name, parts in lines.items()
        }
        aims[""] = 0.0
        for row in layout.rows if turn % 2 == 0 else reversed(layout.rows):
            names = [_line_of(part, layout) for part in row]
            wanted = [aims[name] for name in names]
            weights = [_FIRM if name == "" else 1.0 for name in names]
            gaps = [(a.width + b.width) / 2 + _GAP_X for a, b in pairwise(row)]
            for part, x in zip(row, spread(wanted, weights, gaps), strict=True):
                part.x = x


def _line_of(part: Part, layout: Layout) -> str:
    """Return the line a part belongs to: "" is the spine, a state off it is its own."""
    if part.kind == "state":
        return "" if part.name in layout.spine_states else f"state {part.name}"
    return "" if part.name in layout.spine else part.name


def _aim(parts: list[Part], neighbours: _Neighbours, strength: float) -> float:
    """Return where a line wants to be: where it is, and a little nearer to its ties."""
    mean = sum(part.x for part in parts) / len(parts)
    inside = {id(part) for part in parts}
    ties = [other.x for part in parts for other in neighbours[id(part)] if id(other) not in inside]
    pull = sum(ties) / len(ties) if ties else mean
    return mean + (pull - mean) * strength


def spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return the places nearest to `wanted` (weighted squares) that keep order and `gaps`.

    Pool adjacent violators, on places from which the gaps so far are taken off.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for aim, weight, offset in zip(wanted, weights, offsets, strict=False):
        mean, mass, count = aim - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_mass, other_count = blocks.pop()
            mean = (mean * mass + other * other_mass) / (mass + other_mass)
            mass, count = mass + other_mass, count + other_count
        blocks.append((mean, mass, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]
