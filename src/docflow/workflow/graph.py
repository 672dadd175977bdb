"""What must hold on every path through a workflow; each violation prints a path that breaks it.

A document's way is explored exactly: each node is a state together with what the document holds
there (number, personal signatures, seal, delivered). Guards that only those things decide are
respected; other guards are taken as passable.

Those who sign in any order are each one step, in every order: what has been signed so is part of a node.

Properties:
1. Every state can be reached, and every transition can fire somewhere.
2. From everywhere a document can get, a final state can be reached.
3. Nothing is delivered without number, every personal signature and seal: each way to the seal makes
   as many personal signatures as any other, since the first one's update makes room for all.
4. At most `MOST_PERSONS` personal signatures are on one file, and nothing after the seal. What goes
   on the page (number, date) exists by then, and goes there before the first signature; where later
   ones are seen follows from the first (`later_places`).
5. What was delivered never becomes editable again.
6. In an outgoing workflow, a document that ends undelivered has its number voided.
7. No one approves what they wrote: every `separate_from` leaves someone who could fire.
8. What `never` forbids does not happen.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from docflow.workflow.definition import (
    MOST_PERSONS,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.places import SIGNATURE
from docflow.workflow.resolve import Complaint
from docflow.workflow.vocabulary import HOLDINGS

MOST_STANDINGS = 10_000  # what is explored of one workflow; eight in any order are 256


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a document is and what it holds; `sign` counts personal signatures, to one too many.

    `done` are the transitions of those who sign in any order whose signatures are on the file.
    """

    state: str
    number: bool = False
    sign: int = 0
    seal: bool = False
    delivered: bool = False
    done: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One transition that can fire at a standing, and where it leads.

    `signed` is the standing at the end of the transition, before entering the target state drops
    anything: what a delivery by this transition would go out with.
    """

    trigger: str
    before: Standing
    signed: Standing
    after: Standing


_NOWHERE = Standing("")
_NO_STEP = Step("", _NOWHERE, _NOWHERE, _NOWHERE)


class Graph:
    """Every standing that documents of one workflow can get to, with a shortest way to each."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        """Explore the workflow, to the `MOST_STANDINGS`-th standing."""
        self.definition = definition
        self._triggers = {state: definition.leaving(state) for state in definition.states}
        self._together = {name: definition.in_any_order(name) for name in definition.transitions}
        self.start = Standing(definition.initial)
        self.steps: dict[Standing, list[Step]] = {}
        self._came_by: dict[Standing, Step | None] = {self.start: None}
        queue = deque([self.start])
        while queue and len(self._came_by) <= MOST_STANDINGS:
            standing = queue.popleft()
            self.steps[standing] = list(self._leaving(standing))
            for step in self.steps[standing]:
                if step.after not in self._came_by:
                    self._came_by[step.after] = step
                    queue.append(step.after)
        self.too_large = bool(queue)
        self.persons = max(step.signed.sign for step in (*self.all_steps(), _NO_STEP))

    def holds(self, standing: Standing, holding: str) -> bool:
        """Tell whether a document holds `number`, `seal`, or with `sign` every personal signature."""
        if holding == "sign":
            return standing.sign >= max(1, self.persons)
        return bool(getattr(standing, holding))

    def _leaving(self, standing: Standing) -> Iterator[Step]:
        for trigger in self._triggers[standing.state]:
            transition = self.definition.transitions[trigger]
            if trigger in standing.done:
                continue
            if "has_number" in transition.require and not standing.number:
                continue
            if "is_signed" in transition.require and not standing.sign:
                continue
            signed = _apply(transition, standing)
            together = self._together[trigger]
            done = standing.done | {trigger} if together else standing.done
            after = replace(
                signed,
                state=transition.to if done.issuperset(together) else standing.state,
                delivered=signed.delivered or transition.does("deliver"),
                done=done,
            )
            if self.definition.states[after.state].is_editable:
                after = replace(after, sign=0, seal=False, done=frozenset())
            yield Step(trigger, standing, signed, after)

    def all_steps(self) -> Iterator[Step]:
        """Yield every step, nearest to the start first."""
        for steps in self.steps.values():
            yield from steps

    def path(self, standing: Standing, last: Step | None = None) -> str:
        """Return a shortest path to a standing (and one step on), as `draft -submit-> review`."""
        steps = [last] if last else []
        step = self._came_by[standing]
        while step is not None:
            steps.append(step)
            step = self._came_by[step.before]
        shown = self.start.state
        for step in reversed(steps):
            shown += f" -{step.trigger}-> {step.after.state}"
        return shown


def _apply(transition: TransitionDefinition, standing: Standing) -> Standing:
    return replace(
        standing,
        number=(standing.number or transition.number is not None)
        and not transition.does("void_number"),
        sign=min(standing.sign + transition.signs_as("person"), MOST_PERSONS + 1),
        seal=standing.seal or transition.signs_as("organisation"),
    )


def violations(graph: Graph) -> Iterator[Complaint]:
    """Yield every property that a resolved workflow breaks, once per state or transition."""
    if graph.too_large:
        yield (
            ("states",),
            f"documents could stand in more than {MOST_STANDINGS} ways, too many to prove anything of; "
            "let fewer sign in any order, or split the workflow",
        )
        return
    yield from _dead(graph)
    yield from _stuck(graph)
    yield from _separation(graph)
    told: set[Complaint] = set()
    kinds: set[tuple[object, ...]] = set()
    for step in graph.all_steps():
        for kind, complaint in _judge(graph, step):
            # one path is enough to show what is wrong with a transition
            if (step.trigger, kind) not in kinds and complaint not in told:
                kinds.add((step.trigger, kind))
                told.add(complaint)
                yield complaint


def _dead(graph: Graph) -> Iterator[Complaint]:
    definition = graph.definition
    reached = {standing.state for standing in graph.steps}
    fired = {(step.before.state, step.trigger) for step in graph.all_steps()}
    for state in definition.states:
        if state not in reached:
            yield (
                ("states", state),
                f"no path from {definition.initial!r} reaches it; add a transition to it or drop it",
            )
    for trigger, transition in definition.transitions.items():
        for source in transition.from_:
            if (source, trigger) in fired:
                continue
            step = f"{source} -{trigger}-> {transition.to}"
            why = (
                f"{source!r} is never reached"
                if source not in reached
                else "what it requires (has_number, is_signed) never holds there"
            )
            yield ("transitions", trigger), f"is dead: {step} never fires, because {why}"


def _stuck(graph: Graph) -> Iterator[Complaint]:
    """Complain of states from which no final state can be reached."""
    back: dict[Standing, list[Standing]] = {standing: [] for standing in graph.steps}
    for step in graph.all_steps():
        back[step.after].append(step.before)
    ending = [s for s in graph.steps if graph.definition.states[s.state].final]
    can_end, queue = set(ending), deque(ending)
    while queue:
        for before in back[queue.popleft()]:
            if before not in can_end:
                can_end.add(before)
                queue.append(before)
    told: set[str] = set()
    for standing in graph.steps:
        if standing not in can_end and standing.state not in told:
            told.add(standing.state)
            yield (
                ("states", standing.state),
                f"from here no final state can be reached: {graph.path(standing)}",
            )


def _separation(graph: Graph) -> Iterator[Complaint]:
    for trigger, transition in graph.definition.transitions.items():
        path = ("transitions", trigger, "separate_from")
        if set(transition.by) <= set(transition.separate_from):
            yield (
                path,
                f"no one could ever fire it: only {' and '.join(transition.by)} may, and just that "
                "is excluded (no one approves what they wrote)",
            )
            continue
        if transition.by != ("author",):
            continue
        together = graph.definition.in_any_order(trigger)
        if any(
            graph.definition.transitions[one].by == ("author",)
            for one in together
            if one != trigger
        ):
            yield (
                ("transitions", trigger, "by"),
                "no one could ever fire all that is signed with it in any order: each is signed by a "
                "person of their own, and more than one of them only by the author",
            )
        for earlier in transition.separate_from:
            other = graph.definition.transitions.get(earlier)
            if other is not None and other.by == ("author",) and _always(graph, earlier, trigger):
                yield (
                    path,
                    f"no one could ever fire it: only the author may, and the author always fires "
                    f"{earlier!r} before (no one approves what they wrote)",
                )


def _always(graph: Graph, earlier: str, later: str) -> bool:
    """Tell whether every path to `later` goes through `earlier`."""
    seen, queue = {graph.start}, deque([graph.start])
    while queue:
        for step in graph.steps[queue.popleft()]:
            if step.trigger == later:
                return False
            if step.trigger != earlier and step.after not in seen:
                seen.add(step.after)
                queue.append(step.after)
    return True


def _judge(graph: Graph, step: Step) -> Iterator[tuple[str, Complaint]]:
    """Yield what one step breaks of properties 3 to 6 and 8, with the kind of the breach."""
    definition = graph.definition
    transition = definition.transitions[step.trigger]
    path = ("transitions", step.trigger)
    way = graph.path(step.before, step)
    if transition.does("deliver"):
        for holding, words in HOLDINGS.items():
            if not (step.signed.sign if holding == "sign" else graph.holds(step.signed, holding)):
                yield f"deliver {holding}", (path, f"delivers without {words}: {way}")
    if transition.sign is not None:
        for complaint in _signing(graph, transition, step):
            yield complaint, ((*path, "sign"), f"{complaint}: {way}")
    yield from _ending(definition, step, way)
    for rule in definition.never:
        if rule.state == step.after.state and not graph.holds(step.after, rule.without):
            yield (
                f"never {rule.state} {rule.without}",
                (path, f"breaks never: {rule.state} without {rule.without}: {way}"),
            )


def _ending(
    definition: WorkflowDefinition, step: Step, way: str
) -> Iterator[tuple[str, Complaint]]:
    """Yield what one step breaks of properties 5 and 6."""
    path = ("transitions", step.trigger)
    target = definition.states[step.after.state]
    if step.before.delivered and target.is_editable:
        yield (
            "editable",
            ((*path, "to"), f"makes a document editable that was delivered already: {way}"),
        )
    undelivered = target.final and not step.after.delivered
    if undelivered and step.after.number and definition.direction == "outgoing":
        yield (
            "void",
            (
                path,
                "ends a document undelivered with its number in hand; add do: [void_number], with "
                f"ask: {{reason: text!}}: {way}",
            ),
        )


def _signing(graph: Graph, transition: TransitionDefinition, step: Step) -> Iterator[str]:
    sign = transition.sign
    if sign is None:
        return
    if step.before.seal:
        yield "signs after the seal, and the seal is the last signature"
    elif sign.as_ == "person" and step.before.sign >= MOST_PERSONS:
        yield f"puts more than {MOST_PERSONS} personal signatures on one file"
    elif sign.as_ == "organisation" and 0 < step.before.sign < graph.persons <= MOST_PERSONS:
        yield (
            f"seals with {step.before.sign} of {graph.persons} personal signatures; every way to the "
            "seal has to make as many"
        )
    if sign.as_ == "person":
        yield from _placing(graph, step)


def _placing(graph: Graph, step: Step) -> Iterator[str]:
    placed = graph.definition.on_page(step.trigger).keys() - {SIGNATURE}
    together = graph.definition.in_any_order(step.trigger)
    if step.before.sign > len(step.before.done.intersection(together)):
        if placed:
            yield "places something on a page that is signed already"
    elif not step.before.sign and placed & {"number", "date"} and not step.signed.number:
        yield "places a number or date on the page while the document may have no number"
