import dataclasses

import pytest

from docflow.kernel.actor import SERVICE, Actor, ActorKind, Office
from docflow.kernel.errors import ForbiddenError, NotFoundError
from docflow.people.access import (
    REASONS,
    DocumentFacts,
    Verdict,
    decide,
    require,
    roles_on,
)
from docflow.people.rules import RULES
from docflow.people.vocabulary import Permission, Scope

# top > (finance > payroll, legal)
TREE = {
    "top": {"top", "finance", "payroll", "legal"},
    "finance": {"finance", "payroll"},
    "payroll": {"payroll"},
    "legal": {"legal"},
}
DOCUMENT = DocumentFacts(
    id="d",
    direction="outgoing",
    state="draft",
    unit_id="finance",
    author_id="author",
    assignee_id="assignee",
    classification="internal",
)
ABOUT_DOCUMENTS = (
    Permission.DOCUMENT_READ,
    Permission.DOCUMENT_OPEN,
    Permission.HISTORY_READ_DOCUMENT,
)
BY_TWO = {  # acts of custody, and whose reason to know allows them
    Permission.BREAK_GLASS_DECIDE: {"leader"},
    Permission.DOCUMENT_LOWER: {"author", "head", "leader"},
    Permission.DOCUMENT_RECOVER: {"clerk", "head", "leader"},
    Permission.LOWERING_DECIDE: {"head", "leader"},
    Permission.RECOVERY_DECIDE: {"leader"},
}
ACTS = (
    Permission.DOCUMENT_CLASSIFY,
    Permission.DOCUMENT_EDIT,
    Permission.DOCUMENT_FIRE,
    Permission.REGISTER_VOID,
)


def person(
    id: str = "someone",  # noqa: A002
    *offices: tuple[str, str],
    kind: ActorKind = "person",
    scopes: set[str] | None = None,
    receives: set[str] | None = None,
) -> Actor:
    return Actor(
        id=id,
        kind=kind,
        offices=tuple(Office(unit, role) for role, unit in offices),
        unit_tree=tuple((unit, frozenset(TREE[unit])) for unit in {unit for _, unit in offices}),
        scopes=None if scopes is None else frozenset(scopes),
        recipient_ids=frozenset(receives or ()),
    )


KNOWING = {
    "author": person("author"),
    "assignee": person("assignee"),
    "clerk of the unit": person("x", ("clerk", "finance")),
    "clerk above": person("x", ("clerk", "top")),
    "head of the unit": person("x", ("head", "finance")),
    "head above": person("x", ("head", "top")),
    "leader above": person("x", ("leader", "top")),
    "auditor above": person("x", ("auditor", "top")),
    "specialist of the unit": person("x", ("specialist", "finance")),
    "the system that posted it": person("author", ("integrator", "finance"), kind="system"),
}
OUTSIDE = {
    "nobody": person(),
    "clerk beside": person("x", ("clerk", "legal")),
    "clerk below": person("x", ("clerk", "payroll")),
    "head below": person("x", ("head", "payroll")),
    "leader beside": person("x", ("leader", "legal")),
    "specialist above": person("x", ("specialist", "top")),
    "specialist below": person("x", ("specialist", "payroll")),
    "administrator above": person("x", ("administrator", "top")),
    "administrator of the unit": person("x", ("administrator", "finance")),
    "administrator who wrote it before": person("author", ("administrator", "top")),
    "administrator it was assigned to": person("assignee", ("administrator", "top")),
    "administrator with another office in stored data": person(
        "x", ("administrator", "top"), ("clerk", "top")
    ),
    "another system of the unit": person("x", ("integrator", "finance"), kind="system"),
    "a system with an office of people": person("x", ("clerk", "top"), kind="system"),
    "a system it was assigned to": person("assignee", kind="system"),
    "recipient": person("x", kind="recipient", receives={"x"}),
    "recipient whose id is the author's": person("author", kind="recipient"),
    "unknown role": person("x", ("king", "top")),
}


class TestReasonsToKnow:
    @pytest.mark.parametrize("permission", ABOUT_DOCUMENTS)
    @pytest.mark.parametrize("who", KNOWING)
    def test_who_has_a_reason_reads(self, who: str, permission: Permission) -> None:
        verdict = decide(KNOWING[who], permission, DOCUMENT)
        assert (verdict.allowed, verdict.visible) == (True, True)

    @pytest.mark.parametrize("permission", [*ABOUT_DOCUMENTS, *ACTS])
    @pytest.mark.parametrize("who", OUTSIDE)
    def test_who_has_none_does_not_learn_that_it_exists(
        self, who: str, permission: Permission
    ) -> None:
        verdict = decide(OUTSIDE[who], permission, DOCUMENT)
        assert (verdict.allowed, verdict.visible, verdict.rule) == (False, False, "need-to-know")
        with pytest.raises(NotFoundError) as caught:
            require(OUTSIDE[who], permission, DOCUMENT)
        assert caught.value.rule is None
        assert DOCUMENT.id not in caught.value.detail.split()

    @pytest.mark.parametrize("permission", [*ABOUT_DOCUMENTS, *ACTS])
    @pytest.mark.parametrize(
        "classification", ["confidential", "secret", "top-secret", "", "PUBLIC", "nonsense"]
    )
    @pytest.mark.parametrize("who", KNOWING)
    def test_who_has_no_clearance_sees_nothing_that_needs_one(
        self, who: str, classification: str, permission: Permission
    ) -> None:
        document = dataclasses.replace(DOCUMENT, classification=classification)
        verdict = decide(KNOWING[who], permission, document)
        assert (verdict.allowed, verdict.visible) == (False, False)

    @pytest.mark.parametrize("permission", [*ABOUT_DOCUMENTS, *ACTS])
    @pytest.mark.parametrize("who", KNOWING)
    def test_a_clearance_lets_a_reason_count_and_no_higher(
        self, who: str, permission: Permission
    ) -> None:
        cleared = frozenset({"public", "internal", "confidential"})
        actor = dataclasses.replace(KNOWING[who], cleared=cleared)
        document = dataclasses.replace(DOCUMENT, classification="confidential")
        assert decide(actor, permission, document) == decide(KNOWING[who], permission, DOCUMENT)
        assert not decide(
            actor, permission, dataclasses.replace(DOCUMENT, classification="secret")
        ).visible

    @pytest.mark.parametrize("permission", ABOUT_DOCUMENTS)
    def test_a_clearance_is_no_reason(self, permission: Permission) -> None:
        stranger = dataclasses.replace(person("x"), cleared=frozenset({"internal", "secret"}))
        assert not decide(stranger, permission, DOCUMENT).visible

    @pytest.mark.parametrize("permission", ABOUT_DOCUMENTS)
    def test_break_glass_lets_read_one_document_whatever_its_level(
        self, permission: Permission
    ) -> None:
        document = dataclasses.replace(DOCUMENT, classification="top-secret")
        actor = dataclasses.replace(person("x"), granted=frozenset({document.id}))
        verdict = decide(actor, permission, document)
        assert (verdict.allowed, verdict.rule) == (True, "break-glass")
        assert not decide(actor, permission, dataclasses.replace(document, id="other")).visible
        for act in ACTS:
            assert not decide(actor, act, document).allowed

    def test_an_office_without_its_tree_reaches_its_own_unit_only(self) -> None:
        actor = Actor(id="x", kind="person", offices=(Office("top", "clerk"),))
        assert not decide(actor, Permission.DOCUMENT_READ, DOCUMENT).visible
        own = dataclasses.replace(DOCUMENT, unit_id="top")
        assert decide(actor, Permission.DOCUMENT_READ, own).allowed

    def test_the_tree_of_one_office_does_not_serve_another(self) -> None:
        actor = person("x", ("auditor", "legal"), ("specialist", "top"))
        assert not decide(actor, Permission.DOCUMENT_READ, DOCUMENT).visible

    def test_an_unassigned_document_is_nobodys(self) -> None:
        document = dataclasses.replace(DOCUMENT, assignee_id=None)
        assert not decide(person("None"), Permission.DOCUMENT_READ, document).visible


class TestActs:
    @pytest.mark.parametrize(
        ("who", "allowed"),
        [
            ("author", {"document:classify", "document:edit", "document:fire"}),
            ("assignee", {"document:classify", "document:fire"}),
            (
                "clerk of the unit",
                {"document:classify", "document:edit", "document:fire", "register:void"},
            ),
            (
                "clerk above",
                {"document:classify", "document:edit", "document:fire", "register:void"},
            ),
            ("head of the unit", {"document:classify", "document:fire"}),
            ("head above", {"document:classify", "document:fire"}),
            ("leader above", {"document:classify", "document:fire"}),
            ("auditor above", set()),
            ("specialist of the unit", {"document:classify", "document:fire"}),
            ("the system that posted it", {"document:classify", "document:edit", "document:fire"}),
        ],
    )
    def test_what_each_may_do_to_a_document_they_know(self, who: str, allowed: set[str]) -> None:
        if "document:fire" in allowed:
            allowed = allowed | {"document:classify"}  # whoever acts on it may raise it
        for permission in ACTS:
            verdict = decide(KNOWING[who], permission, DOCUMENT)
            assert verdict.visible
            assert verdict.allowed == (permission.value in allowed), permission

    @pytest.mark.parametrize("permission", ACTS)
    def test_an_insider_who_may_not_is_told_the_rule_and_what_would_do(
        self, permission: Permission
    ) -> None:
        with pytest.raises(ForbiddenError) as caught:
            require(KNOWING["auditor above"], permission, DOCUMENT)
        assert caught.value.rule == permission.value
        assert caught.value.detail == f"You may not {RULES[permission].act}."
        assert caught.value.satisfied_by == RULES[permission].satisfied_by

    def test_allowed_names_what_allowed_it(self) -> None:
        assert decide(KNOWING["author"], Permission.DOCUMENT_EDIT, DOCUMENT) == Verdict(
            allowed=True, visible=True, rule="author"
        )
        require(KNOWING["author"], Permission.DOCUMENT_EDIT, DOCUMENT)


class TestCreating:
    @pytest.mark.parametrize(
        ("who", "allowed"),
        [
            (person("author", ("specialist", "finance")), True),
            (person("author", ("clerk", "top")), True),
            (person("author", ("head", "finance")), True),
            (person("author", ("leader", "top")), True),
            (person("author", ("integrator", "finance"), kind="system"), True),
            (person("author"), False),
            (person("author", ("specialist", "top")), False),
            (person("author", ("specialist", "legal")), False),
            (person("author", ("clerk", "payroll")), False),
            (person("author", ("auditor", "top")), False),
            (person("author", ("administrator", "top")), False),
            (person("author", ("integrator", "finance")), False),
            (person("author", ("integrator", "top"), kind="system"), False),
            (person("author", ("integrator", "payroll"), kind="system"), False),
            (person("author", kind="recipient"), False),
        ],
    )
    def test_needs_an_office_that_reaches_the_unit_and_being_its_author_is_not_enough(
        self, who: Actor, allowed: bool
    ) -> None:
        verdict = decide(who, Permission.DOCUMENT_CREATE, DOCUMENT)
        assert verdict.allowed == allowed
        assert verdict.visible

    def test_at_all_is_asked_without_a_document(self) -> None:
        assert decide(person("x", ("specialist", "legal")), Permission.DOCUMENT_CREATE).allowed
        assert not decide(person("x", ("auditor", "top")), Permission.DOCUMENT_CREATE).allowed


OFFICES = {
    role: person("x", (role, "top"))
    for role in ("administrator", "auditor", "clerk", "head", "leader", "specialist")
}
WHOLE = {
    Permission.ACCOUNT_MANAGE: {"administrator"},
    Permission.BREAK_GLASS_ASK: set(OFFICES) - {"administrator"},
    Permission.CLEARANCE_MANAGE: {"administrator"},
    Permission.CLEARANCE_READ: {"administrator", "auditor"},
    Permission.CUSTODY_READ: {"auditor"},
    Permission.CERTIFICATE_MANAGE: {"administrator"},
    Permission.CERTIFICATE_PROVE: set(OFFICES) | {"nobody"},
    Permission.CERTIFICATE_TRACE: {"administrator", "auditor"},
    Permission.DIRECTORY_MANAGE: {"administrator"},
    Permission.DIRECTORY_READ: set(OFFICES) | {"nobody", "system"},
    Permission.HISTORY_READ: {"auditor"},
    Permission.INBOX_ACKNOWLEDGE: {"recipient"},
    Permission.INBOX_READ: {"recipient"},
    Permission.JOB_READ: {"administrator", "clerk"},
    Permission.JOB_RETRY: {"administrator", "clerk"},
    Permission.KEY_MANAGE: {"administrator"},
    Permission.NOTICE_READ: set(OFFICES) | {"nobody"},
    Permission.RECIPIENT_ADD: {"administrator", "clerk"},
    Permission.RECIPIENT_MANAGE: {"administrator"},
    Permission.REGISTER_READ: {"auditor", "clerk", "head", "leader"},
    Permission.SIGNATURE_READ: {"administrator", "auditor", "clerk"},
    Permission.STORAGE_READ: {"administrator", "auditor"},
    Permission.SIGNING_BATCH: set(OFFICES) | {"nobody"},
    Permission.VERIFICATION_CREATE: set(OFFICES) | {"nobody", "system", "recipient"},
}


class TestWithoutDocument:
    @pytest.mark.parametrize("permission", WHOLE)
    def test_who_may(self, permission: Permission) -> None:
        everyone = {
            **OFFICES,
            "nobody": person(),
            "system": person("s", ("integrator", "top"), kind="system"),
            "recipient": person("r", kind="recipient", receives={"r"}),
        }
        allowed = {who for who, actor in everyone.items() if decide(actor, permission).allowed}
        assert allowed == WHOLE[permission]
        for who in everyone.keys() - allowed:
            with pytest.raises(ForbiddenError):
                require(everyone[who], permission)

    def test_every_permission_is_in_one_of_these_tables(self) -> None:
        tested = {*WHOLE, *ABOUT_DOCUMENTS, *ACTS, *BY_TWO, Permission.DOCUMENT_CREATE}
        assert tested == set(Permission)

    def test_a_person_opens_the_inbox_only_of_recipients_linked_to_them(self) -> None:
        assert decide(person("x", receives={"r"}), Permission.INBOX_READ).allowed
        assert not decide(person("x", ("leader", "top")), Permission.INBOX_READ).allowed

    @pytest.mark.parametrize("permission", [Permission.JOB_READ, Permission.JOB_RETRY])
    def test_jobs_of_a_document_are_its_clerks_and_the_administrators(
        self, permission: Permission
    ) -> None:
        assert decide(OFFICES["administrator"], permission, DOCUMENT).allowed
        assert decide(KNOWING["clerk above"], permission, DOCUMENT).allowed
        assert not decide(OUTSIDE["clerk beside"], permission, DOCUMENT).visible
        verdict = decide(KNOWING["author"], permission, DOCUMENT)
        assert (verdict.allowed, verdict.visible) == (False, True)


class TestActsOfTwoPeople:
    @pytest.mark.parametrize("permission", BY_TWO)
    def test_who_may_ask_or_decide(self, permission: Permission) -> None:
        allowed = {
            who
            for who, actor in KNOWING.items()
            if actor.kind == "person" and decide(actor, permission, DOCUMENT).allowed
        }
        assert {who.split()[0] for who in allowed} == BY_TWO[permission]

    @pytest.mark.parametrize("permission", BY_TWO)
    def test_nobody_without_the_clearance(self, permission: Permission) -> None:
        secret = dataclasses.replace(DOCUMENT, classification="confidential")
        for who in KNOWING.values():
            assert not decide(who, permission, secret).visible
            opened = dataclasses.replace(who, granted=frozenset({DOCUMENT.id}))
            assert not decide(opened, permission, secret).allowed

    @pytest.mark.parametrize("permission", [*ABOUT_DOCUMENTS, *ACTS, *BY_TWO])
    def test_what_was_opened_to_someone_is_read_and_nothing_else(
        self, permission: Permission
    ) -> None:
        secret = dataclasses.replace(DOCUMENT, classification="confidential")
        opened = dataclasses.replace(person(), granted=frozenset({DOCUMENT.id}))
        assert decide(opened, permission, secret).allowed == (permission in ABOUT_DOCUMENTS)

    def test_an_administrator_reads_nothing_that_was_opened_to_them(self) -> None:
        administrator = dataclasses.replace(
            person("x", ("administrator", "top")), granted=frozenset({DOCUMENT.id})
        )
        assert not decide(administrator, Permission.DOCUMENT_READ, DOCUMENT).visible


class TestScopes:
    @pytest.mark.parametrize("permission", Permission)
    def test_a_key_needs_the_scope_and_without_one_no_key_can(self, permission: Permission) -> None:
        able = [*OFFICES.values(), *KNOWING.values(), person("r", kind="recipient", receives={"r"})]
        actor = next(actor for actor in able if decide(actor, permission, DOCUMENT).allowed)
        needed = RULES[permission].scope
        every = {scope.value for scope in Scope}
        without = dataclasses.replace(actor, scopes=frozenset(every - {needed}))
        refused = decide(without, permission, DOCUMENT)
        assert (refused.allowed, refused.visible, refused.rule) == (False, True, "key-scope")
        if needed is None:
            assert "no API key" in refused.satisfied_by
        else:
            assert needed.value in refused.satisfied_by
            only = dataclasses.replace(actor, scopes=frozenset({needed.value}))
            assert decide(only, permission, DOCUMENT).allowed

    @pytest.mark.parametrize("permission", Permission)
    def test_scopes_never_add_anything(self, permission: Permission) -> None:
        every = frozenset(scope.value for scope in Scope)
        for actor in [*OUTSIDE.values(), *KNOWING.values(), *OFFICES.values()]:
            plain = decide(actor, permission, DOCUMENT)
            keyed = decide(dataclasses.replace(actor, scopes=every), permission, DOCUMENT)
            assert plain.allowed or not keyed.allowed
            assert plain.visible == keyed.visible

    def test_a_key_without_the_scope_is_not_told_of_what_its_owner_does_not_know(self) -> None:
        actor = person("x", ("clerk", "legal"), scopes={"inbox:read"})
        assert not decide(actor, Permission.DOCUMENT_READ, DOCUMENT).visible


class TestRolesInAWorkflow:
    @pytest.mark.parametrize(
        ("actor", "roles"),
        [
            (person("author", ("specialist", "finance")), {"author", "specialist"}),
            (person("assignee", ("specialist", "legal")), {"assignee"}),
            (person("x", ("head", "finance")), {"head"}),
            (person("x", ("head", "top"), ("leader", "top")), {"head", "leader"}),
            (person("x", ("clerk", "top")), {"clerk"}),
            (person("x", ("clerk", "payroll"), ("head", "legal")), set()),
            (person("x", ("auditor", "top")), set()),
            (person("author", ("administrator", "top")), set()),
            (person("author", ("integrator", "finance"), kind="system"), {"author"}),
            (person("author", kind="recipient"), set()),
            (SERVICE, {"system"}),
        ],
    )
    def test_offices_count_in_the_unit_or_above_it(self, actor: Actor, roles: set[str]) -> None:
        assert roles_on(actor, DOCUMENT) == roles

    def test_the_head_of_the_unit_is_whom_the_directory_names(self) -> None:
        head = person("h", ("head", "finance"))
        assert roles_on(head, DOCUMENT, {"h"}) == {"head", "unit_head"}
        assert roles_on(head, DOCUMENT, {"other"}) == {"head"}
        recipient = person("h", kind="recipient")
        assert roles_on(recipient, DOCUMENT, {"h"}) == frozenset()

    def test_one_may_write_and_approve_by_role_and_the_workflow_separates(self) -> None:
        head = person("author", ("head", "finance"))
        assert roles_on(head, DOCUMENT, {"author"}) == {"author", "head", "unit_head"}


class TestRules:
    def test_every_permission_has_one_rule(self) -> None:
        assert set(RULES) == set(Permission)

    def test_every_reason_that_a_rule_names_exists(self) -> None:
        known = {reason.name for reason in REASONS}
        assert {name for rule in RULES.values() for name in rule.reasons} <= known

    def test_every_scope_is_good_for_something(self) -> None:
        assert {rule.scope for rule in RULES.values()} - {None} == set(Scope)

    def test_who_may_act_on_a_document_may_read_it(self) -> None:
        reading = set(RULES[Permission.DOCUMENT_READ].reasons)
        for permission in (*ACTS, Permission.DOCUMENT_OPEN, Permission.HISTORY_READ_DOCUMENT):
            assert set(RULES[permission].reasons) <= reading

    def test_docflow_itself_may_do_everything(self) -> None:
        for permission in Permission:
            assert decide(SERVICE, permission, DOCUMENT).allowed

    def test_the_vocabularies_are_in_alphabetical_order(self) -> None:
        for vocabulary in (Permission, Scope):
            assert list(vocabulary) == sorted(vocabulary)
