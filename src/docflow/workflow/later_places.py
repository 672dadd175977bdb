"""Where the personal signatures after the first are seen, known before the first is made.

The first signature certifies the file, and a certified file gains no field later: so the first one's
update makes the field of every person, where it will be seen. For that, the place of each has to
follow from the transition of the first alone.

Rules:
1. From the first signature on, the second is seen in one place on every way to the seal, and so the
   third, and each after it. Two people in either order are two first signatures, each with its own.
2. No two are seen in the same place.

Source: ISO 32000-2, 12.8.2.2 (permissions of a certified file).
"""

from collections import deque
from collections.abc import Iterator

from docflow.workflow.graph import Graph, Standing, Step
from docflow.workflow.places import Anchor
from docflow.workflow.resolve import Complaint

Seen = tuple[Anchor | None, ...]
"""The places of the second personal signature, the third and so on; None for one that is not seen."""


def later_places(graph: Graph) -> dict[str, Seen]:
    """Return for each transition that makes a first personal signature where the later ones are seen.

    The workflow is one that `disagreements` finds nothing in.
    """
    return {
        trigger: tuple(_place(graph, seconds[0]) for _, seconds in sorted(later.items()))
        for trigger, later in _after_first(graph).items()
    }


def disagreements(graph: Graph) -> Iterator[Complaint]:
    """Yield each transition whose signature is seen where the one before leaves no place for it."""
    told: set[str] = set()
    for first, later in _after_first(graph).items():
        taken = {_placed(graph, first): f"of {first!r}"}
        for number, steps in sorted(later.items()):
            expected = _place(graph, steps[0])
            for step in steps:
                found = _place(graph, step)
                complaint = ""
                if found != expected:
                    complaint = (
                        f"is personal signature {number} after {first!r}, as {steps[0].trigger!r} is, "
                        "and is seen elsewhere; room for it is made before it is known which comes: "
                        "write the same place for both, or for neither"
                    )
                elif found is not None and found in taken:
                    complaint = (
                        f"is seen where the signature {taken[found]} is seen already; give it a place "
                        "of its own, as {page: last, x: 30, y: 230}"
                    )
                if complaint and step.trigger not in told:
                    told.add(step.trigger)
                    way = graph.path(step.before, step)
                    yield ("transitions", step.trigger, "sign", "place"), f"{complaint}: {way}"
            taken[expected] = f"of {steps[0].trigger!r}"


def _after_first(graph: Graph) -> dict[str, dict[int, list[Step]]]:
    """Return, by the transition of the first signature, the steps that may make each later one."""
    found: dict[str, dict[int, list[Step]]] = {}
    for step in graph.all_steps():
        if _signs(graph, step) and step.before.sign == 0:
            _gather(graph, step.after, found.setdefault(step.trigger, {}))
    return found


def _gather(graph: Graph, start: Standing, found: dict[int, list[Step]]) -> None:
    """Add the steps that sign from a standing on, until the signatures are dropped."""
    seen, queue = {start}, deque([start])
    while queue:
        for step in graph.steps[queue.popleft()]:
            if _signs(graph, step):
                steps = found.setdefault(step.signed.sign, [])
                if step.trigger not in [one.trigger for one in steps]:
                    steps.append(step)
            if step.after.sign and step.after not in seen:
                seen.add(step.after)
                queue.append(step.after)


def _signs(graph: Graph, step: Step) -> bool:
    return graph.definition.transitions[step.trigger].signs_as("person")


def _place(graph: Graph, step: Step) -> Anchor | None:
    return _placed(graph, step.trigger)


def _placed(graph: Graph, trigger: str) -> Anchor | None:
    sign = graph.definition.transitions[trigger].sign
    return sign.place.signature if sign is not None and sign.place is not None else None
