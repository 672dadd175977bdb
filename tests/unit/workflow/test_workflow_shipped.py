"""The two procedures that docflow ships, as a records officer walks through them."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from docflow.kernel.resources import bundled
from docflow.workflow import (
    AllocateNumber,
    Assign,
    CompiledWorkflow,
    Completion,
    Decision,
    Deliver,
    DropSignatures,
    Facts,
    Refusal,
    Route,
    VoidNumber,
    decide,
    load,
    load_folder,
)
from docflow.workflow.schema import json_schema, json_schema_text
from docflow.workflow.source import read_source

FOLDER = bundled("workflows")
INCOMING = load(FOLDER / "incoming.yaml")
OUTGOING = load(FOLDER / "outgoing.yaml")


def fire(compiled: CompiledWorkflow, facts: Facts, trigger: str, **asked: Any) -> Decision:
    answer = decide(compiled, facts, trigger, asked)
    assert isinstance(answer, Decision), answer
    return answer


def refusal_code(compiled: CompiledWorkflow, facts: Facts, trigger: str, **asked: Any) -> str:
    answer = decide(compiled, facts, trigger, asked)
    assert isinstance(answer, Refusal), answer
    return answer.code


def test_the_folder_holds_exactly_the_two_procedures() -> None:
    assert [compiled.name for compiled in load_folder(FOLDER)] == ["incoming", "outgoing"]


@pytest.mark.parametrize("compiled", [INCOMING, OUTGOING], ids=["incoming", "outgoing"])
class TestBoth:
    def test_everything_has_a_title_in_english_and_vietnamese(
        self, compiled: CompiledWorkflow
    ) -> None:
        definition = compiled.definition
        titled = [definition.title]
        titled += [state.title for state in definition.states.values()]
        titled += [field.title for field in definition.fields.values()]
        for transition in definition.transitions.values():
            titled += [transition.title, *(field.title for field in transition.ask.values())]
        assert all(set(title) == {"en", "vi"} for title in titled)

    def test_editors_find_the_schema_and_the_file_fits_it(self, compiled: CompiledWorkflow) -> None:
        first = compiled.source.splitlines()[0]
        assert first == "# yaml-language-server: $schema=workflow.schema.json"
        schema = json.loads((FOLDER / "workflow.schema.json").read_text(encoding="utf-8"))
        data = read_source(compiled.source.encode(), compiled.file).data
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(data)))

    def test_what_must_be_undone_or_refused_needs_a_reason(
        self, compiled: CompiledWorkflow
    ) -> None:
        named = {"refuse", "return", "withdraw", "reassign", "register_anyway"}
        for trigger in named & set(compiled.definition.transitions):
            assert compiled.definition.transitions[trigger].ask["reason"].required


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (FOLDER / "workflow.schema.json").read_text(encoding="utf-8")
    assert committed == json_schema_text(), (
        "run: docflow workflow schema -o workflows/workflow.schema.json"
    )


@pytest.mark.parametrize(
    "spoil",
    [
        {"versio": 1},
        {"version": "1"},
        {"direction": "up"},
        {"states": {"Draft": {}}},
        {"states": {"draft": {"due": "3 days"}}},
        {"transitions": {"go": {"from": "a", "to": "b", "by": "administrator"}}},
        {"transitions": {"go": {"from": "a", "to": "b", "by": "clerk", "do": ["fly"]}}},
        {"transitions": {"go": {"from": "a", "to": "b", "by": "clerk", "require": ["luck"]}}},
        {"transitions": {"go": {"from": "a", "to": "b", "by": "clerk", "ask": {"x": "text?"}}}},
        {"never": ["released without stamp"]},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(spoil: dict[str, Any]) -> None:
    data = json.loads(json.dumps(read_source(OUTGOING.source.encode(), "x").data))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(data | spoil)


CLERK = frozenset({"clerk"})
IN = Facts("received", roles=CLERK, actor_id="hanh", has_main_file=True)


class TestIncoming:
    def test_from_receipt_to_result(self) -> None:
        registered = fire(INCOMING, IN, "register")
        assert (registered.to, registered.effects) == (
            "registered",
            (AllocateNumber("incoming"),),
        )
        facts = replace(IN, state="registered", number="12")
        routed = fire(INCOMING, facts, "route", unit="VP-TC", instruction="Tham mưu trả lời")
        assert (routed.to, routed.effects) == ("routed", (Route("VP-TC"),))
        facts = replace(facts, state="routed", unit_id="VP-TC", roles=frozenset({"unit_head"}))
        assigned = fire(INCOMING, facts, "assign", assignee="thuy")
        assert (assigned.to, assigned.effects) == ("assigned", (Assign("thuy"),))
        facts = replace(facts, state="assigned", roles=frozenset({"assignee"}), actor_id="thuy")
        assert fire(INCOMING, facts, "start").to == "working"
        facts = replace(facts, state="working")
        assert refusal_code(INCOMING, facts, "close") == "missing-input"
        assert fire(INCOMING, facts, "close", result="Đã trả lời").to == "closed"

    def test_a_seeming_duplicate_is_registered_only_with_a_reason(self) -> None:
        facts = replace(IN, duplicate_unresolved=True)
        assert refusal_code(INCOMING, facts, "register") == "guard-failed"
        assert refusal_code(INCOMING, facts, "register_anyway") == "missing-input"
        decision = fire(INCOMING, facts, "register_anyway", reason="Bản bổ sung phụ lục")
        assert (decision.to, decision.effects) == ("registered", (AllocateNumber("incoming"),))

    def test_what_is_not_ours_is_refused_with_a_reason_and_gets_no_number(self) -> None:
        decision = fire(INCOMING, IN, "refuse", reason="Gửi nhầm nơi nhận")
        assert (decision.to, decision.effects) == ("refused", ())

    def test_only_the_clerk_registers(self) -> None:
        for roles in ({"specialist"}, {"unit_head", "head"}, {"leader"}, {"system"}):
            facts = replace(IN, roles=frozenset(roles))
            assert refusal_code(INCOMING, facts, "register") == "role-required"

    @pytest.mark.parametrize("state", ["routed", "assigned", "working"])
    def test_a_wrong_unit_returns_it_for_routing(self, state: str) -> None:
        facts = replace(IN, state=state, roles=frozenset({"unit_head"}), number="1")
        decision = fire(INCOMING, facts, "return", reason="Không thuộc thẩm quyền")
        assert (decision.to, decision.effects) == ("registered", ())

    @pytest.mark.parametrize("state", ["assigned", "working"])
    def test_the_head_may_assign_to_someone_else(self, state: str) -> None:
        facts = replace(IN, state=state, roles=frozenset({"unit_head"}), number="1")
        decision = fire(INCOMING, facts, "reassign", assignee="tuan", reason="Nghỉ phép")
        assert (decision.to, decision.effects) == ("assigned", (Assign("tuan"),))


OUT = Facts(
    "draft",
    roles=frozenset({"author"}),
    actor_id="khoa",
    people={"author": frozenset({"khoa"})},
    has_main_file=True,
    recipients_count=2,
    unit_id="VP-TH",
)


class TestOutgoing:
    def test_from_draft_to_archive(self) -> None:
        assert fire(OUTGOING, OUT, "submit").to == "review"
        facts = replace(OUT, state="review", roles=frozenset({"unit_head"}), actor_id="dung")
        approved = fire(OUTGOING, facts, "approve")
        assert (approved.to, approved.effects) == ("approved", (AllocateNumber("outgoing"),))
        facts = replace(
            facts, state="approved", number="15", roles=frozenset({"leader"}), actor_id="son"
        )
        request = fire(OUTGOING, facts, "sign")
        assert (request.phase, request.to) == ("request", "approved")
        facts = replace(facts, signed_person=True, pending="sign")
        completion = Completion("sign", "son", frozenset({"leader"}))
        assert fire(OUTGOING, replace(facts, completing=completion), "sign").to == "signed"
        facts = replace(facts, state="signed", pending=None, roles=CLERK, actor_id="hanh")
        assert fire(OUTGOING, facts, "release").to == "signed"
        facts = replace(facts, sealed=True, pending="release")
        completion = Completion("release", "hanh", CLERK)
        released = fire(OUTGOING, replace(facts, completing=completion), "release")
        assert (released.to, released.effects) == ("released", (Deliver(),))
        facts = replace(facts, state="released", pending=None)
        assert fire(OUTGOING, facts, "archive").to == "archived"

    def test_number_date_and_code_have_their_place_on_the_page(self) -> None:
        sign = OUTGOING.definition.transitions["sign"].sign
        assert sign is not None
        assert sign.place is not None
        assert sign.place.as_plain() == {"number": "number", "date": "date", "qr": "qr"}

    def test_no_one_approves_what_they_wrote(self) -> None:
        facts = replace(OUT, state="review", roles=frozenset({"author", "unit_head"}))
        assert refusal_code(OUTGOING, facts, "approve") == "separation-of-duties"

    @pytest.mark.parametrize("state", ["review", "approved"])
    def test_it_is_returned_with_a_reason_and_keeps_its_number(self, state: str) -> None:
        facts = replace(OUT, state=state, roles=frozenset({"unit_head"}), number="15")
        assert refusal_code(OUTGOING, facts, "return") == "missing-input"
        decision = fire(OUTGOING, facts, "return", reason="Sai thể thức")
        assert (decision.to, decision.effects) == ("draft", (DropSignatures(),))
        again = replace(facts, state="review", actor_id="dung")
        assert fire(OUTGOING, again, "approve").effects == ()

    @pytest.mark.parametrize("state", ["draft", "review", "approved", "signed"])
    def test_withdrawing_voids_the_number(self, state: str) -> None:
        facts = replace(OUT, state=state, roles=frozenset({"leader"}), number="15")
        decision = fire(OUTGOING, facts, "withdraw", reason="Không cần nữa")
        assert (decision.to, decision.effects) == ("withdrawn", (VoidNumber("Không cần nữa"),))

    def test_what_is_released_can_no_longer_be_withdrawn(self) -> None:
        facts = replace(OUT, state="released", roles=frozenset({"leader"}), number="15")
        assert refusal_code(OUTGOING, facts, "withdraw", reason="x") == "not-from-this-state"

    @pytest.mark.parametrize("roles", [{"leader"}, {"unit_head", "head"}, {"author"}, {"system"}])
    def test_only_the_clerk_uses_the_seal(self, roles: set[str]) -> None:
        facts = replace(
            OUT, state="signed", roles=frozenset(roles), number="15", signed_person=True
        )
        assert refusal_code(OUTGOING, facts, "release") == "role-required"

    def test_the_seal_goes_only_on_what_a_person_signed(self) -> None:
        facts = replace(OUT, state="signed", roles=CLERK, number="15")
        assert refusal_code(OUTGOING, facts, "release") == "guard-failed"
