"""Resolves what a workflow file says against itself: states, triggers, `ask` fields, durations.

Rules:
1. Every complaint carries the path of what is wrong; the loader turns it into a line.
2. It works on whatever parts of a file have the right shape, so that one slip does not hide others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from docflow.workflow.definition import (
    FieldDefinition,
    NeverRule,
    SignDefinition,
    StateDefinition,
    TransitionDefinition,
)
from docflow.workflow.durations import Duration
from docflow.workflow.places import SIGNATURE, Anchor
from docflow.workflow.source import Path
from docflow.workflow.vocabulary import (
    EFFECT_FIELDS,
    ROLES,
    SEPARABLE_ROLES,
    SIGN_LEVELS,
    unknown,
)

Complaint = tuple[Path, str]
_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Parts:
    """The well-shaped parts of a workflow file, and the names of all states and triggers.

    `ways` has, for every trigger, the states that it says it leaves and the one it enters.
    """

    state_names: tuple[str, ...]
    triggers: tuple[str, ...]
    title: Mapping[str, str]
    fields: Mapping[str, FieldDefinition]
    states: Mapping[str, StateDefinition]
    transitions: Mapping[str, TransitionDefinition]
    ways: Mapping[str, tuple[tuple[str, ...], str | None]]
    never: Mapping[int, NeverRule]
    direction: str


def resolve(parts: Parts) -> Iterator[Complaint]:
    """Yield everything in the parts that does not fit together."""
    if parts.title and "en" not in parts.title:
        yield ("title",), "has no English title; add en"
    for name, field in parts.fields.items():
        yield from _field(("fields", name), field)
    for name, state in parts.states.items():
        yield from _state(("states", name), state)
        yield from _in_any_order(name, state, parts)
    if parts.states and len(parts.states) == len(parts.state_names):
        yield from _ends(parts)
    for name in parts.triggers:
        yield from _ways(("transitions", name), name, parts)
    for name, transition in parts.transitions.items():
        path: Path = ("transitions", name)
        yield from _names(path, transition, parts)
        yield from _asks(path, transition)
        yield from _signs(path, transition)
    yield from _containers(parts)
    for index, rule in parts.never.items():
        if rule.state not in parts.state_names:
            yield ("never", index), unknown("state", rule.state, parts.state_names)
    shaped = len(parts.transitions) == len(parts.triggers)
    delivers = any(t.does("deliver") for t in parts.transitions.values())
    if parts.direction == "outgoing" and shaped and not delivers:
        yield (
            ("transitions",),
            "nothing delivers; an outgoing workflow needs a transition with do: [deliver]",
        )


def _ends(parts: Parts) -> Iterator[Complaint]:
    initial = [name for name, state in parts.states.items() if state.initial]
    if not initial:
        yield ("states",), "no state is initial; write initial: true on the one documents start in"
    for name in initial[1:]:
        yield (
            ("states", name, "initial"),
            f"{initial[0]!r} is initial already; exactly one state is",
        )
    if parts.states and not any(state.final for state in parts.states.values()):
        yield ("states",), "no state is final; write final: true on those documents end in"


def _state(path: Path, state: StateDefinition) -> Iterator[Complaint]:
    if state.initial and state.final:
        yield (*path, "final"), "a state cannot be initial and final at once"
    if state.final and state.editable:
        yield (*path, "editable"), "what is final cannot be editable; leave one of them out"
    if state.final and state.due is not None:
        yield (*path, "due"), "nothing is due in a final state; leave it out"
    if state.due is not None and state.due.is_negative:
        yield (*path, "due"), f"{state.due} is in the past; write a duration as 3d"
    if state.retain is not None and state.is_editable:
        yield (
            (*path, "retain"),
            "what may still be changed is not kept; leave retain or editable out",
        )
    for index, reminder in enumerate(state.remind):
        yield from _reminder((*path, "remind", index), reminder, state.due)


def _reminder(path: Path, reminder: Duration, due: Duration | None) -> Iterator[Complaint]:
    if due is None:
        yield path, "there is nothing to remind of: the state has no due"
    if not reminder.is_negative:
        yield path, f"a reminder comes before the due time; write -{reminder}"


def _field(path: Path, field: FieldDefinition) -> Iterator[Complaint]:
    if field.type == "choice":
        if not field.choices:
            yield path, "a choice needs its choices; write choices: [a, b]"
        if len(set(field.choices)) != len(field.choices):
            yield (*path, "choices"), "the same choice is there twice; keep one"
    elif field.choices:
        yield (*path, "choices"), f"a field of type {field.type} has no choices; write type: choice"
    for bound in ("min", "max"):
        value = getattr(field, bound)
        if value is None:
            continue
        if field.type not in ("text", "integer"):
            yield (*path, bound), f"a field of type {field.type} has no {bound}; leave it out"
        elif field.type == "text" and not 0 <= value <= _MAX_TEXT:
            yield (*path, bound), f"{value} characters; write a number from 0 to {_MAX_TEXT}"
    if field.min is not None and field.max is not None and field.min > field.max:
        yield (*path, "min"), f"min {field.min} is greater than max {field.max}; no value fits"


def _ways(path: Path, trigger: str, parts: Parts) -> Iterator[Complaint]:
    if trigger in ROLES:
        yield path, "a transition cannot have the name of a role; call it by what is done"
    sources, target = parts.ways.get(trigger, ((), None))
    place: Path = (*path, "from")
    seen: set[str] = set()
    for source in sources:
        if source not in parts.state_names:
            yield place, unknown("state", source, parts.state_names)
        elif source in seen:
            yield place, f"{source!r} is named twice; the second transition would be dead"
        elif source in parts.states and parts.states[source].final:
            yield place, f"nothing leaves {source!r}: it is final"
        seen.add(source)
    if target is not None and target not in parts.state_names:
        yield (*path, "to"), unknown("state", target, parts.state_names)


def _names(path: Path, transition: TransitionDefinition, parts: Parts) -> Iterator[Complaint]:
    for index, name in enumerate(transition.separate_from):
        if name not in SEPARABLE_ROLES and name not in parts.triggers:
            known = (*SEPARABLE_ROLES, *parts.triggers)
            yield (*path, "separate_from", index), unknown("role or trigger", name, known)


def _asks(path: Path, transition: TransitionDefinition) -> Iterator[Complaint]:
    for name, field in transition.ask.items():
        yield from _field((*path, "ask", name), field)
    effects = [item.effect for item in transition.do]
    for index, item in enumerate(transition.do):
        place: Path = (*path, "do", index)
        if item.effect in effects[:index]:
            yield place, f"{item.effect} is there twice; keep one"
        if item.field is not None:
            needed = EFFECT_FIELDS[item.effect][1]
            yield from _needs(place, transition, item.effect, item.field, needed)
    if transition.number and transition.does("void_number"):
        yield (*path, "number"), "a transition cannot give a number and void it"
    if transition.number and transition.number.date:
        place = (*path, "number", "date")
        yield from _needs(place, transition, "number", transition.number.date, "date", must=False)


def _needs(
    path: Path,
    transition: TransitionDefinition,
    what: str,
    name: str,
    needed: str,
    *,
    must: bool = True,
) -> Iterator[Complaint]:
    """Complain unless `ask` has the field that `what` uses, of the type and required."""
    mark = "!" if must else ""
    field = transition.ask.get(name)
    if field is None:
        yield (
            path,
            f"{what} uses the ask field {name!r}, which is not asked for; write ask: "
            f"{{{name}: {needed}{mark}}}",
        )
    elif field.type != needed:
        yield path, f"{what} needs {name!r} to be a {needed}, and it is a {field.type}"
    elif must and not field.required:
        yield path, f"{what} needs {name!r} to be required; write {name}: {needed}!"


def _signs(path: Path, transition: TransitionDefinition) -> Iterator[Complaint]:
    sign = transition.sign
    if sign is None:
        return
    if "system" in transition.by:
        yield (*path, "by"), "a signature is asked for by a person; take system out of by"
    yield from _levels((*path, "sign"), sign)
    if sign.container is not None and sign.as_ != "organisation":
        yield (
            (*path, "sign", "container"),
            "the container is sealed by the organisation; write container with sign: {as: organisation}",
        )
    if sign.place is not None:
        place: Path = (*path, "sign", "place")
        if sign.as_ != "person":
            yield (
                place,
                "the seal is the last signature and adds nothing to the page; place belongs to the "
                "personal signature before it",
            )
        elif not sign.place.as_plain():
            yield place, "places nothing; name number, date, qr or signature, or leave it out"


def _in_any_order(name: str, state: StateDefinition, parts: Parts) -> Iterator[Complaint]:
    """Complain of what cannot be signed in any order in a state."""
    path: Path = ("states", name, "any_order")
    if state.any_order and state.is_editable:
        yield path, "people sign where nothing may be changed between them; write editable: false"
    if len(state.any_order) == 1:
        yield path, "one alone has no order; name two transitions at least, or leave it out"
    placed: dict[str, tuple[str, Anchor]] = {}
    target = None
    for index, trigger in enumerate(state.any_order):
        place: Path = (*path, index)
        transition = parts.transitions.get(trigger)
        if trigger not in parts.triggers:
            yield place, unknown("transition", trigger, parts.triggers)
        elif trigger in state.any_order[:index]:
            yield place, f"{trigger!r} is named twice; each signs once"
        elif transition is not None:
            target = target or transition.to
            yield from _goes_on(place, name, trigger, transition, target)
            yield from _places_once(trigger, transition, placed)


def _goes_on(
    path: Path, state: str, trigger: str, transition: TransitionDefinition, target: str
) -> Iterator[Complaint]:
    if not transition.signs_as("person"):
        yield path, f"{trigger!r} makes no personal signature; write sign: {{as: person}} there"
    if transition.from_ != (state,):
        yield (
            path,
            f"{trigger!r} leaves {', '.join(transition.from_)}; who signs in any order signs in "
            f"{state!r} and nowhere else: write from: {state}",
        )
    if transition.to != target:
        yield (
            path,
            f"{trigger!r} goes to {transition.to!r}, and the ones before to {target!r}; whoever is last "
            "goes on: write the same state",
        )
    elif transition.to == state:
        yield path, f"{trigger!r} goes nowhere; the last one has to go on to another state"


def _places_once(
    trigger: str, transition: TransitionDefinition, placed: dict[str, tuple[str, Anchor]]
) -> Iterator[Complaint]:
    """Complain of what whoever is first would place here or there."""
    sign = transition.sign
    for item, anchor in (sign.place.anchors() if sign and sign.place else {}).items():
        if item == SIGNATURE:
            continue
        other, found = placed.setdefault(item, (trigger, anchor))
        if found != anchor:
            yield (
                ("transitions", trigger, "sign", "place", item),
                f"the {item} goes elsewhere than {other!r} has it; whoever signs first places it: write "
                "the same place, or leave it out here",
            )


def _containers(parts: Parts) -> Iterator[Complaint]:
    """Complain where one way to the seal has a container and another has none."""
    seals = {
        name: one.sign
        for name, one in parts.transitions.items()
        if one.sign is not None and one.signs_as("organisation")
    }
    with_one = [name for name, sign in seals.items() if sign.container]
    if not with_one:
        return
    for name, sign in seals.items():
        if not sign.container:
            yield (
                ("transitions", name, "sign"),
                f"seals without a container, and {with_one[0]} with one: which annexes a draft may have "
                "would not be known; write the same for both",
            )


def _levels(path: Path, sign: SignDefinition) -> Iterator[Complaint]:
    order = tuple(SIGN_LEVELS)
    if sign.as_ == "person" and "B-LTA" in {sign.level, sign.fallback}:
        yield (
            (*path, "level" if sign.level == "B-LTA" else "fallback"),
            "the archive time stamp comes after the seal and covers the personal signature too; "
            "write B-LT",
        )
    if sign.fallback is None:
        return
    if sign.level is None:
        yield (*path, "fallback"), "a fallback is lower than a level that is named; write level too"
    elif order.index(sign.fallback) >= order.index(sign.level):
        yield (*path, "fallback"), f"{sign.fallback} is not lower than {sign.level}; leave it out"
