"""The guards that `require` may name: pure functions from facts to a verdict with a sentence.

Rules:
1. `@guard(name)` registers one under a name of the vocabulary; every such name has its guard.
2. A verdict that says no also says what would satisfy the guard.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from docflow.workflow.facts import Facts, SignatureState
from docflow.workflow.vocabulary import GUARDS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says: yes or no, a sentence, and what would turn a no into a yes."""

    ok: bool
    sentence: str = ""
    satisfied_by: str = ""


Guard = Callable[[Facts], Verdict]
_OK: Final = Verdict(True)
_REGISTRY: Final[dict[str, Guard]] = {}


def guard(name: str) -> Callable[[Guard], Guard]:
    """Register a guard under its name in the vocabulary.

    Raises:
        LookupError: if the vocabulary has no such guard, or it is registered already.
    """
    if name not in GUARDS or name in _REGISTRY:
        raise LookupError(f"the vocabulary has no free guard {name!r}")

    def register(function: Guard) -> Guard:
        _REGISTRY[name] = function
        return function

    return register


def find_guard(name: str) -> Guard:
    """Return the guard registered under `name` (the loader has checked that it exists)."""
    return _REGISTRY[name]


@guard("has_main_file")
def has_main_file(facts: Facts) -> Verdict:
    """Hold when the document has a main file, and every file is as it will be signed."""
    if facts.conversion == "pending":
        return Verdict(
            False, "A file of the document is still being converted.", "wait until it is converted"
        )
    if facts.conversion == "failed":
        return Verdict(
            False,
            "A file of the document could not be converted.",
            "replace that file by a PDF, or take the annex out",
        )
    if facts.has_main_file:
        return _OK
    return Verdict(False, "The document has no main file.", "upload the main file")


@guard("has_recipients")
def has_recipients(facts: Facts) -> Verdict:
    """Hold when the document has at least one recipient."""
    if facts.recipients_count > 0:
        return _OK
    return Verdict(False, "The document has no recipient.", "name at least one recipient")


@guard("has_assignee")
def has_assignee(facts: Facts) -> Verdict:
    """Hold when the document is assigned to a person."""
    if facts.assignee_id:
        return _OK
    return Verdict(False, "The document is assigned to no one.", "assign it to a person")


@guard("has_unit")
def has_unit(facts: Facts) -> Verdict:
    """Hold when the document belongs to a unit."""
    if facts.unit_id:
        return _OK
    return Verdict(False, "The document is routed to no unit.", "route it to a unit")


@guard("has_number")
def has_number(facts: Facts) -> Verdict:
    """Hold when the document has a number that is not void."""
    if facts.number:
        return _OK
    return Verdict(False, "The document has no number.", "fire a transition that numbers it first")


@guard("not_duplicate")
def not_duplicate(facts: Facts) -> Verdict:
    """Hold when no unresolved report says that the document is a duplicate."""
    if not facts.duplicate_unresolved:
        return _OK
    return Verdict(
        False,
        "The document looks like one that came in before, and nobody has resolved that yet.",
        "resolve the duplicate report, or fire a transition meant for duplicates",
    )


@guard("is_signed")
def is_signed(facts: Facts) -> Verdict:
    """Hold when a valid personal signature is on the current file."""
    if facts.signed_person:
        return _OK
    return Verdict(
        False,
        "The current file carries no valid personal signature.",
        "have an authorised person sign it",
    )


_SIGNATURES: Final[Mapping[SignatureState, Verdict]] = {
    "valid": _OK,
    "not-valid": Verdict(
        False,
        "A signature with which the document came in is not verified as valid.",
        "read the verdict under `signatures`; fire a transition that lets a second person vouch for "
        "the document, or refuse it",
    ),
    "unsigned": Verdict(
        False,
        "The main file carries no signature.",
        "ask its sender for the signed file, or fire a transition that lets a second person vouch for it",
    ),
    "pending": Verdict(
        False,
        "The signatures are being verified.",
        "wait for the verdict, which comes within a minute",
    ),
}


@guard("signature_valid")
def signature_valid(facts: Facts) -> Verdict:
    """Hold when the main file came in signed, and every signature passed."""
    return _SIGNATURES[facts.signatures]


def _complete() -> None:
    missing = set(GUARDS) - set(_REGISTRY)
    if missing:
        raise LookupError(f"guards without a function: {sorted(missing)}")


_complete()
