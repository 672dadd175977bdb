"""What pictures of a workflow say, in the language of their readers."""

from collections.abc import Mapping
from typing import Final

from docflow.workflow.definition import (
    SignDefinition,
    StateDefinition,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.durations import Duration
from docflow.workflow.vocabulary import EFFECTS, GUARDS, ROLES, SEPARABLE_ROLES, title_of

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "d": "days",
        "h": "hours",
        "m": "minutes",
        "1d": "day",
        "1h": "hour",
        "1m": "minute",
        "wall": "on the clock",
        "within": "within {}",
        "number": "gives the number ({})",
        "person": "personal signature",
        "organisation": "organisation's seal",
        "not": "not: {}",
        "fired": "whoever fired {}",
        "needs": "needs: {}",
        "asks": "asks: {}",
        "editable": "files may change",
        "any_order": "{} sign, in any order",
        "initial": "start",
        "final": "end",
        "forward": "goes on",
        "back": "goes back",
        "away": "breaks off",
        "version": "version {}",
    },
    "vi": {
        "d": "ngày",
        "h": "giờ",
        "m": "phút",
        "1d": "ngày",
        "1h": "giờ",
        "1m": "phút",
        "wall": "theo đồng hồ",
        "within": "trong {}",
        "number": "cấp số ({})",
        "person": "chữ ký cá nhân",
        "organisation": "chữ ký (dấu) cơ quan",
        "not": "trừ: {}",
        "fired": "người đã {}",
        "needs": "cần: {}",
        "asks": "nhập: {}",
        "editable": "được sửa tệp",
        "any_order": "{} người ký, theo thứ tự bất kỳ",
        "initial": "bắt đầu",
        "final": "kết thúc",
        "forward": "đi tiếp",
        "back": "quay lại",
        "away": "dừng lại",
        "version": "phiên bản {}",
    },
}


_PLAIN: Final = ("assign", "route")
"""Effects that the title of a transition tells already."""


def word(key: str, language: str) -> str:
    """Return a word of the pictures; English where a language has none."""
    return _WORDS.get(language, _WORDS["en"])[key]


def duration(value: Duration, language: str) -> str:
    """Return a duration in words, as `3 days`."""
    unit = word(("1" if abs(value.amount) == 1 else "") + value.unit, language)
    wall = f" {word('wall', language)}" if value.wall else ""
    return f"{value.amount} {unit}{wall}"


def state_notes(state: StateDefinition, language: str) -> list[str]:
    """Return what a state's box says beneath its title."""
    notes = []
    if state.due is not None:
        notes.append(word("within", language).format(duration(state.due, language)))
    if state.is_editable:
        notes.append(word("editable", language))
    if state.any_order:
        notes.append(word("any_order", language).format(len(state.any_order)))
    return notes


def who(definition: WorkflowDefinition, transition: TransitionDefinition, language: str) -> str:
    """Return who may fire a transition, and who of them may not."""
    listed = ", ".join(title_of(ROLES[name].title, language, name) for name in transition.by)
    excluded = [
        title_of(ROLES[name].title, language, name).lower()
        if name in SEPARABLE_ROLES
        else word("fired", language).format(definition.transition_title(name, language).lower())
        for name in transition.separate_from
    ]
    if not excluded:
        return listed
    return f"{listed} ({word('not', language).format(', '.join(excluded))})"


def what(transition: TransitionDefinition, language: str) -> list[str]:
    """Return what a transition does beside moving the document."""
    told = []
    if transition.number:
        told.append(word("number", language).format(transition.number.book))
    if transition.sign:
        told.append(_signature(transition.sign, language))
    told.extend(
        title_of(EFFECTS[item.effect].title, language, "")
        for item in transition.do
        if item.effect not in _PLAIN
    )
    return told


def conditions(transition: TransitionDefinition, language: str) -> str:
    """Return what a transition requires, as one phrase; empty if nothing."""
    if not transition.require:
        return ""
    listed = ", ".join(title_of(GUARDS[name].title, language, name) for name in transition.require)
    return word("needs", language).format(listed)


def inputs(transition: TransitionDefinition, language: str) -> str:
    """Return what a transition must be given, as one phrase; empty if nothing."""
    required = [
        title_of(field.title, language, name).lower()
        for name, field in transition.ask.items()
        if field.required
    ]
    return word("asks", language).format(", ".join(required)) if required else ""


def _signature(sign: SignDefinition, language: str) -> str:
    return word(sign.as_, language)
