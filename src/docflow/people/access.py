"""The one access rule: may this actor do this to this document, and why not. Pure.

Rules, all of them data in this file; what is not allowed by them is refused:
1. Reasons to know a document: being its author or assignee; holding the office of clerk, head,
   leader or auditor in its unit or any unit above it, or of specialist exactly in its unit.
2. Administrators and recipients have no reason, whatever else they are; a system knows what it
   posted. docflow itself (`service`) may do everything and cannot be reached with a token.
3. A reason to know counts only for documents of a classification that the actor is cleared for
   today. The levels below the sealed ones need no clearance.
4. Each permission names the reasons or the offices that allow it, and the scope an API key needs.
   A scope only ever takes away.
5. Who has no reason to know is told that there is no such document; who knows but may not, why.
6. Break-glass access is a reason for one document, for a time, and stands for its clearance too. It
   lets read, nothing else.

Each reason is a column and the set of values that the actor brings, so that the answer for one
document (`decide`) and the SQL condition for many (`readable`) cannot drift apart.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from docflow.kernel.actor import Actor
from docflow.kernel.errors import ForbiddenError, NotFoundError
from docflow.people.rules import BREAK_GLASS, RULES, Rule
from docflow.people.vocabulary import EXACT_ROLES, WORKFLOW_ROLES, Permission, Role

__all__ = [
    "REASONS",
    "DocumentFacts",
    "Permission",
    "Reason",
    "Verdict",
    "decide",
    "readable",
    "require",
    "require_cleared",
    "roles_on",
]


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What the rule needs to know of a document; for `document:create`, of the one to be made."""

    id: str
    direction: str
    state: str
    unit_id: str
    author_id: str
    assignee_id: str | None
    classification: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: `visible` tells whether the actor may know that the document exists.

    `rule` names what decided: a reason or office that allows, or the rule that says no; `reason`
    and `satisfied_by` are sentences, empty where it is allowed.
    """

    allowed: bool
    visible: bool
    rule: str
    reason: str = ""
    satisfied_by: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason to know: a column of the document must hold one of the actor's values."""

    name: str
    column: str
    values: Callable[[Actor], frozenset[str]]

    def holds(self, actor: Actor, document: DocumentFacts) -> bool:
        """Tell whether the actor has this reason for one document."""
        return getattr(document, self.column) in self.values(actor)


def _myself(*kinds: str) -> Callable[[Actor], frozenset[str]]:
    def values(actor: Actor) -> frozenset[str]:
        if actor.kind not in kinds or Role.ADMINISTRATOR in actor.roles():
            return frozenset()
        return frozenset({actor.id})

    return values


def _reach(role: Role, kind: str = "person") -> Callable[[Actor], frozenset[str]]:
    def values(actor: Actor) -> frozenset[str]:
        if actor.kind != kind or Role.ADMINISTRATOR in actor.roles():
            return frozenset()
        return _units(actor, role)

    return values


def _units(actor: Actor, role: Role) -> frozenset[str]:
    """Return the units that the actor's offices of this role reach."""
    own = frozenset(office.unit_id for office in actor.offices if office.role == role)
    if role in EXACT_ROLES or not own:
        return own
    return own.union(*(below for unit_id, below in actor.unit_tree if unit_id in own))


def _granted(actor: Actor) -> frozenset[str]:
    if actor.kind != "person" or Role.ADMINISTRATOR in actor.roles():
        return frozenset()
    return actor.granted


REASONS: Final = (
    Reason("author", "author_id", _myself("person", "system")),
    Reason("assignee", "assignee_id", _myself("person")),
    Reason("clerk", "unit_id", _reach(Role.CLERK)),
    Reason("head", "unit_id", _reach(Role.HEAD)),
    Reason("leader", "unit_id", _reach(Role.LEADER)),
    Reason("auditor", "unit_id", _reach(Role.AUDITOR)),
    Reason("specialist", "unit_id", _reach(Role.SPECIALIST)),
    Reason("integrator", "unit_id", _reach(Role.INTEGRATOR, "system")),
    Reason(BREAK_GLASS, "id", _granted),
)
"""Every reason that a rule may name."""

_BY_NAME: Final = {reason.name: reason for reason in REASONS}
_KNOWING: Final = tuple(_BY_NAME[name] for name in RULES[Permission.DOCUMENT_READ].reasons)


def decide(actor: Actor, permission: Permission, document: DocumentFacts | None = None) -> Verdict:
    """Answer whether the actor may do this: to this document, or at all where none is given.

    For `document:create` the document is the one to be made; its unit is what counts.
    """
    rule = RULES[permission]
    if actor.kind == "service":
        return Verdict(allowed=True, visible=True, rule="service")
    office = _allowing_office(actor, rule)
    visible = office is not None or _visible(actor, permission, document)
    if not visible:
        return Verdict(
            allowed=False,
            visible=False,
            rule="need-to-know",
            reason="There is no such document, or you have no reason to know it.",
            satisfied_by="Be its author or assignee, or hold an office in its unit or above it.",
        )
    if actor.scopes is not None and rule.scope not in actor.scopes:
        return _outside_scope(permission, rule)
    by = office or _allowing_reason(actor, rule, document)
    if by is not None:
        return Verdict(allowed=True, visible=True, rule=by)
    return Verdict(
        allowed=False,
        visible=True,
        rule=permission.value,
        reason=f"You may not {rule.act}.",
        satisfied_by=rule.satisfied_by,
    )


def require(actor: Actor, permission: Permission, document: DocumentFacts | None = None) -> None:
    """Refuse what `decide` does not allow.

    Raises:
        NotFoundError: if the actor may not know that the document exists.
        ForbiddenError: with the rule, the reason and what would satisfy it.
    """
    refuse(decide(actor, permission, document))


def require_cleared(actor: Actor, classification: str) -> None:
    """Refuse to let an actor make what they could not read.

    Raises:
        ForbiddenError: with code `clearance-required`.
    """
    if actor.kind != "service" and classification not in actor.cleared:
        raise ForbiddenError(
            f"You are not cleared for documents classified {classification!r}.",
            code="clearance-required",
            rule="clearance",
            satisfied_by="Have an administrator record your clearance, or let a cleared colleague "
            "post it.",
        )


def refuse(verdict: Verdict) -> None:
    """Raise what `require` raises, for a verdict that was already given; nothing if allowed."""
    if verdict.allowed:
        return
    if not verdict.visible:
        raise NotFoundError("There is no such document, or you have no reason to know it.")
    raise ForbiddenError(verdict.reason, rule=verdict.rule, satisfied_by=verdict.satisfied_by)


def readable(actor: Actor, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the SQL condition that selects exactly the documents that the actor may read.

    `table` is as for `permitted`.
    """
    return permitted(actor, Permission.DOCUMENT_READ, table)


def permitted(actor: Actor, permission: Permission, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the SQL condition that selects the documents that a permission's reasons allow.

    Args:
        actor: who asks.
        permission: one that reasons allow, as `document:read`.
        table: the documents table or an alias of it; needs the columns `id`, `unit_id`,
            `author_id`, `assignee_id` and `classification`.
    """
    if actor.kind == "service":
        return sa.true()
    rule = RULES[permission]
    if actor.scopes is not None and rule.scope not in actor.scopes:
        return sa.false()
    values: dict[str, frozenset[str]] = {}
    for reason in (_BY_NAME[name] for name in rule.reasons):
        brought = reason.values(actor)
        if brought and reason.name != BREAK_GLASS:
            values[reason.column] = values.get(reason.column, frozenset()) | brought
    known = [table.c[column].in_(sorted(wanted)) for column, wanted in values.items()]
    either = []
    if known:
        cleared = table.c.classification.in_(sorted(actor.cleared))
        either.append(sa.and_(sa.or_(*known), cleared))
    granted = _granted(actor) if BREAK_GLASS in rule.reasons else frozenset()
    if granted:
        either.append(table.c.id.in_(sorted(granted)))
    return sa.or_(*either) if either else sa.false()


def roles_on(
    actor: Actor, document: DocumentFacts, unit_heads: Collection[str] = ()
) -> frozenset[str]:
    """Return the roles that the actor has on a document, in the words of a workflow's `by`.

    Offices count in the document's unit or above it (specialist: exactly in it). `system` is
    docflow itself.

    Args:
        actor: who asks.
        document: the document.
        unit_heads: ids of the people who act as head of the document's unit, as
            `Directory.unit_heads` tells.
    """
    if actor.kind == "service":
        return frozenset({"system"})
    held = {reason.name for reason in _KNOWING if _counts(reason, actor, document)}
    roles = held & ({role.value for role in WORKFLOW_ROLES} | {"author", "assignee"})
    if actor.id in unit_heads and actor.kind == "person":
        roles.add("unit_head")
    return frozenset(roles)


def _visible(actor: Actor, permission: Permission, document: DocumentFacts | None) -> bool:
    if document is None or permission is Permission.DOCUMENT_CREATE:
        return True
    return any(_counts(reason, actor, document) for reason in _KNOWING)


def _counts(reason: Reason, actor: Actor, document: DocumentFacts) -> bool:
    """Tell whether the actor has this reason and the clearance that it needs."""
    cleared = document.classification in actor.cleared or reason.name == BREAK_GLASS
    return cleared and reason.holds(actor, document)


def _allowing_office(actor: Actor, rule: Rule) -> str | None:
    """Return what allows this whatever the document: an office, being anyone of a kind, a link."""
    if actor.kind not in rule.kinds:
        return None
    if rule.receivers:
        return "recipient" if actor.recipient_ids else None
    if rule.everyone:
        return actor.kind
    return next((role.value for role in rule.offices if role in actor.roles()), None)


def _allowing_reason(actor: Actor, rule: Rule, document: DocumentFacts | None) -> str | None:
    for name in rule.reasons:
        reason = _BY_NAME[name]
        if document is None:
            if reason.values(actor):
                return name
        elif _counts(reason, actor, document):
            return name
    return None


def _outside_scope(permission: Permission, rule: Rule) -> Verdict:
    if rule.scope is None:
        satisfied_by = "Sign in as a person; no API key can do this."
    else:
        satisfied_by = f"Use an API key with the scope {rule.scope.value}."
    return Verdict(
        allowed=False,
        visible=True,
        rule="key-scope",
        reason=f"This API key may not {rule.act} ({permission.value}).",
        satisfied_by=satisfied_by,
    )
