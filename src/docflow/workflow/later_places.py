"""Where the personal signatures after the first are seen, known before the first is made.

The first signature certifies the file, and a certified file gains no field later: so the first one's
update makes the field of every person, where it will be seen. For that, the places of all have to
follow from the transition of the first alone.

Rules:
1. From the first signature on, the same places are signed on every way to the seal, in whichever
   order: how far a document has got says which of them are. Whoever signs, signs in the place of
   their transition; those that are not seen, in the next of theirs.
2. No two are seen in the same place.

Source: ISO 32000-2, 12.8.2.2 (permissions of a certified file).
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docflow.workflow.definition import MOST_PERSONS, WorkflowDefinition
from docflow.workflow.graph import Graph, Standing, Step
from docflow.workflow.places import SIGNATURE, Anchor
from docflow.workflow.resolve import Complaint

Place = Anchor | None
Seen = tuple[Place, ...]
"""The places of the second personal signature, the third and so on; None for one that is not seen."""

_Wrong = tuple[Step, str, str]  # where it is found, the transition to be written otherwise, and why

Taken = tuple[tuple[Place, str], ...]
"""The places that are signed, each with the transition that signed there, in that order."""

FIRST = 1


def place_of(definition: WorkflowDefinition, trigger: str) -> Place:
    """Return where the personal signature of a transition is seen, None if nowhere."""
    return definition.on_page(trigger).get(SIGNATURE)


def later_places(graph: Graph) -> dict[str, Seen]:
    """Return for each transition that makes a first personal signature where the later ones are seen.

    They come in the order in which they may sign, and where that is the same for several, in that of the
    file. The workflow is one that `disagreements` finds nothing in.
    """
    listed = tuple(graph.definition.transitions)
    found: dict[str, Seen] = {}
    for first, ways in _after_first(graph).items():
        wanted = Counter(place for place, _ in ways.all[1:])
        earliest: dict[Place, list[tuple[int, int]]] = {}
        for step in sorted(
            ways.steps, key=lambda one: (one.signed.sign, listed.index(one.trigger))
        ):
            at = (step.signed.sign, listed.index(step.trigger))
            known = earliest.setdefault(place_of(graph.definition, step.trigger), [])
            if at[0] not in [number for number, _ in known]:
                known.append(at)
        slots = [
            (at, place) for place, count in wanted.items() for at in earliest.get(place, ())[:count]
        ]
        found[first] = tuple(place for _, place in sorted(slots, key=lambda one: one[0]))
    return found


def slot_of(definition: WorkflowDefinition, seen: Seen, before: Sequence[str], trigger: str) -> int:
    """Return which of a file's places a transition signs in, counted from 1, the first one's.

    Args:
        definition: the workflow.
        seen: the places of the later ones, after the first of `before`.
        before: the transitions whose personal signatures are on the file, in the order of signing.
        trigger: the transition that signs next.
    """
    taken: list[int] = []
    for one in (*before, trigger):
        free = [number for number in range(FIRST + 1, len(seen) + 2) if number not in taken]
        place = place_of(definition, one)
        own = [number for number in free if seen[number - FIRST - 1] == place]
        # a workflow of before these rules has no place of their own for some: the next one is
        taken.append((own or free or [len(taken) + 1])[0] if taken else FIRST)
    return taken[-1]


def disagreements(graph: Graph) -> Iterator[Complaint]:
    """Yield each transition whose signature is seen where the first one's update leaves no place for it."""
    if graph.too_large:
        return
    told: set[str] = set()
    for ways in _after_first(graph).values():
        for step, trigger, complaint in ways.wrong:
            if trigger not in told:
                told.add(trigger)
                way = graph.path(step.before, step)
                yield ("transitions", trigger, "sign", "place"), f"{complaint}: {way}"


@dataclass(slots=True)
class _Ways:
    """What is signed on the ways from one first signature on, until the signatures are dropped."""

    taken: dict[Standing, Taken]
    came_by: dict[Standing, Step]
    steps: list[Step]
    wrong: list[_Wrong]

    @property
    def all(self) -> Taken:
        """The most places that are signed on any way."""
        return max(self.taken.values(), key=len)


def _after_first(graph: Graph) -> dict[str, _Ways]:
    """Return the ways on from each first signature, by its transition."""
    found: dict[str, _Ways] = {}
    for step in graph.all_steps():
        if _signs(graph, step) and step.before.sign == 0 and step.after.sign:
            ways = found.setdefault(step.trigger, _Ways({}, {}, [], []))
            if step.after not in ways.taken:
                ways.taken[step.after] = ((place_of(graph.definition, step.trigger), step.trigger),)
                ways.came_by[step.after] = step
                _gather(graph, step.after, ways)
    for ways in found.values():
        ways.wrong.extend(_beyond(ways))
    return found


def _gather(graph: Graph, start: Standing, ways: _Ways) -> None:
    """Follow every way from a standing on, and note what is signed by then at each standing."""
    queue = deque([start])
    while queue:
        before = queue.popleft()
        for step in graph.steps[before]:
            taken = ways.taken[before]
            if _signs(graph, step):
                ways.steps.append(step)
                place = place_of(graph.definition, step.trigger)
                if place is not None and place in dict(taken):
                    ways.wrong.append((step, step.trigger, _again(dict(taken)[place])))
                taken = (*taken, (place, step.trigger))
            if not 1 <= step.after.sign <= MOST_PERSONS:
                continue  # dropped; or more than a file has, which the graph complains of
            if step.after not in ways.taken:
                ways.taken[step.after] = taken
                ways.came_by[step.after] = step
                queue.append(step.after)
            elif _counted(ways.taken[step.after]) != _counted(taken):
                # told of the step that goes on elsewhere; what comes after it is told when that is right
                ways.wrong.append((step, *_elsewhere(taken, ways.taken[step.after])))


def _beyond(ways: _Ways) -> Iterator[_Wrong]:
    """Complain of what is signed on a way where the longest way has no place for it."""
    most = ways.all
    for standing, taken in ways.taken.items():
        if _counted(taken) - _counted(most):
            step = ways.came_by[standing]
            if step.signed.sign > step.before.sign and _only(taken, most)[-1:] == taken[-1:]:
                yield step, *_elsewhere(taken, most)  # the step that signs it, and none after


def _again(trigger: str) -> str:
    return (
        f"is seen where the signature of {trigger!r} is seen already; give it a place of its own, as "
        "{page: last, x: 30, y: 230}"
    )


def _elsewhere(taken: Taken, others: Taken) -> tuple[str, str]:
    """Return the transition that is seen elsewhere than another has it, and what is wrong with that."""
    first, own, other = taken[0][1], _only(taken, others), _only(others, taken)
    here = own[-1][1] if own else taken[-1][1]
    there = other[-1][1] if other else others[-1][1]
    return here, (
        f"signs after {first!r} where {there!r} may instead, and is seen elsewhere; room is made with "
        "the first signature, before it is known which comes: write the same place for both, or for "
        "neither"
    )


def _only(taken: Taken, others: Taken) -> Taken:
    """Return what is in one and not in the other, by place."""
    left = _counted(others)
    own = []
    for place, trigger in taken:
        if left[place]:
            left[place] -= 1
        else:
            own.append((place, trigger))
    return tuple(own)


def _counted(taken: Taken) -> Counter[Place]:
    return Counter(place for place, _ in taken)


def _signs(graph: Graph, step: Step) -> bool:
    return graph.definition.transitions[step.trigger].signs_as("person")
