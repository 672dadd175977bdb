"""decide() and available(): the rules, their order, and what a decision carries."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from docflow.kernel.errors import IntegrityError
from docflow.workflow import (
    AllocateNumber,
    Assign,
    Completion,
    Decision,
    Deliver,
    DropSignatures,
    Facts,
    Refusal,
    Route,
    Sign,
    VoidNumber,
    available,
    decide,
    load_source,
)

WORKFLOW = load_source(
    b"""\
workflow: letter
version: 3
title: {en: Letter}
direction: outgoing
fields:
  pages: {type: integer, min: 1, required: true}
states:
  draft: {initial: true}
  review: {title: {en: In review}}
  ready: {}
  signed: {}
  out: {}
  kept: {final: true}
  dropped: {final: true}
transitions:
  submit: {from: draft, to: review, by: author, require: [has_main_file, has_recipients]}
  approve:
    from: review
    to: ready
    by: [unit_head, leader]
    separate_from: [author, submit]
    ask: {day: date}
    number: {book: letters, date: day}
  back: {from: [review, ready], to: draft, by: unit_head, ask: {reason: text!}}
  hand: {from: review, to: review, by: unit_head, ask: {who: person!, unit: unit!},
         do: [route, {assign: who}]}
  sign: {from: ready, to: signed, by: leader, require: [has_number],
         ask: {note: text}, sign: {as: person, place: {number: top-left}}}
  send: {from: signed, to: out, by: clerk, sign: {as: organisation}, do: [deliver]}
  keep: {from: out, to: kept, by: [clerk, system]}
  drop: {from: [draft, review, ready, signed], to: dropped, by: unit_head, ask: {reason: text!},
         do: [void_number]}
""",
    "letter.yaml",
)

FULL = Facts(
    state="draft",
    roles=frozenset({"author"}),
    actor_id="anh",
    people={"author": frozenset({"anh"})},
    has_main_file=True,
    recipients_count=1,
    unit_id="u1",
    fields={"pages": 2},
)


def decided(facts: Facts, trigger: str, **asked: Any) -> Decision:
    answer = decide(WORKFLOW, facts, trigger, asked)
    assert isinstance(answer, Decision), answer
    return answer


def refused(facts: Facts, trigger: str, **asked: Any) -> Refusal:
    answer = decide(WORKFLOW, facts, trigger, asked)
    assert isinstance(answer, Refusal), answer
    assert answer.reason.endswith(".")
    assert answer.satisfied_by
    return answer


def at(state: str, *roles: str, actor: str = "binh", **changes: Any) -> Facts:
    return replace(FULL, state=state, roles=frozenset(roles), actor_id=actor, **changes)


class TestRulesInOrder:
    def test_an_unknown_trigger_gives_the_nearest_and_the_list(self) -> None:
        refusal = refused(FULL, "submitt")
        assert refusal.code == "unknown-trigger"
        assert refusal.satisfied_by == (
            "did you mean 'submit'? known: submit, approve, back, hand, sign, send, keep, drop; "
            "from 'draft': submit, drop"
        )

    def test_an_unknown_trigger_is_told_even_in_a_final_state(self) -> None:
        assert refused(at("kept", "clerk"), "reopen").code == "unknown-trigger"

    def test_nothing_leaves_a_final_state(self) -> None:
        for trigger in WORKFLOW.definition.transitions:
            assert refused(at("kept", "clerk"), trigger).code == "closed"

    def test_a_transition_fires_only_from_its_states(self) -> None:
        refusal = refused(at("review", "leader"), "sign")
        assert refusal.code == "not-from-this-state"
        assert "'In review' (review)" in refusal.reason
        assert (
            refusal.satisfied_by == "'sign' leaves: ready; from 'review': approve, back, hand, drop"
        )

    def test_whoever_may_not_learns_of_no_guard(self) -> None:
        bare = at("draft", "clerk", has_main_file=False, fields={})
        refusal = refused(bare, "submit")
        assert (refusal.code, refusal.rule) == ("role-required", "by")
        assert refusal.satisfied_by == "a person who is: author (author)"
        assert "file" not in refusal.reason

    def test_no_one_approves_what_they_wrote(self) -> None:
        refusal = refused(at("review", "unit_head", actor="anh"), "approve")
        assert refusal.code == "separation-of-duties"
        assert "someone other than the author" in refusal.reason

    def test_no_one_approves_what_they_submitted(self) -> None:
        facts = at("review", "leader", fired_by={"submit": frozenset({"binh"})})
        refusal = refused(facts, "approve")
        assert refusal.code == "separation-of-duties"
        assert "whoever fired 'submit'" in refusal.reason

    def test_separation_comes_before_input(self) -> None:
        facts = at("review", "unit_head", actor="anh")
        assert refused(facts, "approve", day="nonsense").code == "separation-of-duties"

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"has_main_file": False}, "has_main_file"),
            ({"conversion": "pending"}, "has_main_file"),
            ({"has_main_file": False, "conversion": "failed"}, "has_main_file"),
            ({"recipients_count": 0}, "has_recipients"),
            ({"has_main_file": False, "recipients_count": 0}, "has_main_file"),
        ],
    )
    def test_guards_answer_in_the_order_of_the_file(
        self, change: dict[str, Any], rule: str
    ) -> None:
        refusal = refused(replace(FULL, **change), "submit")
        assert (refusal.code, refusal.rule) == ("guard-failed", rule)

    def test_required_fields_are_filled_before_drafting_ends(self) -> None:
        refusal = refused(replace(FULL, fields={}), "submit")
        assert (refusal.code, refusal.rule) == ("guard-failed", "fields_complete")
        assert [problem.pointer for problem in refusal.fields] == ["/fields/pages"]

    def test_a_draft_is_dropped_with_its_fields_unfilled(self) -> None:
        assert decided(at("draft", "unit_head", fields={}), "drop", reason="late").to == "dropped"

    def test_input_that_is_missing_is_told_with_its_pointer(self) -> None:
        for asked in ({}, {"reason": None}, {"reason": "  "}):
            refusal = refused(at("review", "unit_head"), "back", **asked)
            assert refusal.code == "missing-input"
            assert [problem.pointer for problem in refusal.fields] == ["/asked/reason"]

    def test_input_of_the_wrong_type_is_told(self) -> None:
        refusal = refused(at("review", "unit_head"), "back", reason=7)
        assert refusal.code == "invalid-input"
        assert refusal.fields[0].message == "must be text"

    def test_input_that_was_not_asked_for_is_refused(self) -> None:
        refusal = refused(at("review", "unit_head"), "back", reason="x", resaon="y")
        assert refusal.code == "invalid-input"
        assert refusal.fields[0].pointer == "/asked/resaon"

    def test_a_state_that_the_version_does_not_have_is_a_fault_of_the_data(self) -> None:
        with pytest.raises(IntegrityError, match="stands in state 'limbo'"):
            decide(WORKFLOW, at("limbo", "clerk"), "submit", {})
        with pytest.raises(IntegrityError, match="version 3"):
            available(WORKFLOW, at("limbo", "clerk"))


class TestEffects:
    def test_a_plain_move_has_none(self) -> None:
        decision = decided(FULL, "submit")
        assert (decision.from_state, decision.to, decision.phase) == ("draft", "review", "complete")
        assert decision.effects == ()

    def test_a_number_is_allocated_from_the_book(self) -> None:
        assert decided(at("review", "leader"), "approve").effects == (AllocateNumber("letters"),)

    def test_the_date_of_the_number_may_be_asked_for(self) -> None:
        decision = decided(at("review", "leader"), "approve", day="2026-02-03")
        assert decision.effects == (AllocateNumber("letters", date(2026, 2, 3)),)

    def test_a_document_keeps_the_number_it_has(self) -> None:
        assert decided(at("review", "leader", number="7"), "approve").effects == ()

    def test_entering_an_editable_state_drops_signatures(self) -> None:
        decision = decided(at("review", "unit_head"), "back", reason="typo")
        assert decision.effects == (DropSignatures(),)

    def test_people_and_units_come_from_the_input_in_the_order_of_the_file(self) -> None:
        decision = decided(at("review", "unit_head"), "hand", who="p9", unit="u2")
        assert decision.effects == (Route("u2"), Assign("p9"))

    def test_a_number_is_voided_with_the_reason(self) -> None:
        decision = decided(at("ready", "unit_head", number="7"), "drop", reason="no need")
        assert decision.effects == (VoidNumber("no need"),)

    def test_without_a_number_nothing_is_voided(self) -> None:
        assert decided(at("review", "unit_head"), "drop", reason="no need").effects == ()

    def test_input_is_normalised_and_given_back(self) -> None:
        decomposed = "  sai chi\u0301nh ta\u0309 "
        decision = decided(at("review", "unit_head"), "back", reason=decomposed)
        assert decision.asked == {"reason": "sai chính tả"}


READY = at("ready", "leader", number="7")
SIGNED = at("signed", "clerk", number="7", signed_person=True)


def completing(facts: Facts, trigger: str, *roles: str, by: str = "binh") -> Facts:
    return replace(
        facts,
        roles=frozenset({"system"}),
        actor_id="service",
        pending=trigger,
        completing=Completion(trigger, by, frozenset(roles)),
    )


class TestSigningInTwoPhases:
    def test_a_person_requests_and_the_state_stays(self) -> None:
        decision = decided(READY, "sign", note="now")
        assert (decision.phase, decision.to) == ("request", "ready")
        (effect,) = decision.effects
        assert isinstance(effect, Sign)
        assert (effect.as_, effect.level) == ("person", None)
        assert effect.place is not None
        assert effect.place.as_plain() == {"number": "top-left"}
        assert decision.asked == {"note": "now"}

    def test_a_request_stays_a_request_though_a_signature_is_there(self) -> None:
        assert decided(replace(READY, signed_person=True), "sign").phase == "request"

    def test_the_job_completes_with_the_evidence(self) -> None:
        facts = completing(replace(READY, signed_person=True), "sign", "leader")
        decision = decided(facts, "sign")
        assert (decision.phase, decision.to) == ("complete", "signed")
        assert decision.clears_pending
        assert decision.effects == ()

    def test_without_evidence_nothing_is_completed(self) -> None:
        refusal = refused(completing(READY, "sign", "leader"), "sign")
        assert (refusal.code, refusal.rule) == ("signature-missing", "signed-before-release")

    def test_roles_are_judged_of_the_requester_not_of_the_service(self) -> None:
        facts = completing(replace(READY, signed_person=True), "sign", "clerk")
        assert refused(facts, "sign").code == "role-required"

    def test_delivery_happens_in_the_completion_and_only_there(self) -> None:
        request = decided(SIGNED, "send")
        assert request.effects == (Sign("organisation", None),)
        done = decided(completing(replace(SIGNED, sealed=True), "send", "clerk"), "send")
        assert done.effects == (Deliver(),)
        assert done.to == "out"

    def test_the_seal_alone_delivers_nothing(self) -> None:
        facts = completing(replace(SIGNED, sealed=True, signed_person=False), "send", "clerk")
        assert refused(facts, "send").code == "signature-missing"

    def test_a_delivery_is_not_even_requested_unsigned(self) -> None:
        refusal = refused(replace(SIGNED, signed_person=False), "send")
        assert refusal.code == "signature-missing"
        assert "personal signature" in refusal.reason

    def test_a_delivery_is_not_even_requested_unnumbered(self) -> None:
        assert refused(replace(SIGNED, number=None), "send").rule == "has_number"

    def test_while_a_signing_runs_nothing_else_fires(self) -> None:
        facts = replace(READY, pending="sign", roles=frozenset({"leader", "unit_head"}))
        for trigger, asked in (("sign", {}), ("back", {"reason": "x"}), ("drop", {"reason": "x"})):
            assert refused(facts, trigger, **asked).code == "signing-in-progress"

    def test_a_running_signing_is_told_before_roles(self) -> None:
        assert refused(replace(READY, pending="sign", roles=frozenset()), "sign").code == (
            "signing-in-progress"
        )

    def test_a_failed_signing_no_longer_blocks_and_is_cleared(self) -> None:
        facts = replace(
            READY, pending="sign", pending_failed=True, roles=frozenset({"leader", "unit_head"})
        )
        back = decided(facts, "back", reason="x")
        assert (back.to, back.clears_pending) == ("draft", True)
        again = decided(facts, "sign")
        assert (again.phase, again.clears_pending) == ("request", True)

    def test_a_failed_signing_may_still_be_completed_by_its_job(self) -> None:
        facts = completing(
            replace(READY, signed_person=True, pending_failed=True), "sign", "leader"
        )
        assert decided(facts, "sign").phase == "complete"

    def test_a_completion_that_nobody_requested_is_refused(self) -> None:
        facts = completing(replace(READY, signed_person=True), "sign", "leader")
        for odd in (
            replace(facts, pending=None),
            replace(facts, pending="send"),
            replace(facts, completing=Completion("send", "binh", frozenset({"leader"}))),
        ):
            assert refused(odd, "sign").code == "signing-not-requested"

    def test_a_completion_of_what_signs_nothing_is_refused(self) -> None:
        facts = completing(at("out", "clerk"), "keep", "clerk")
        assert refused(facts, "keep").code == "signing-not-requested"

    def test_separation_is_judged_of_the_requester(self) -> None:
        workflow = load_source(
            b"""\
workflow: w
version: 1
title: {en: W}
direction: incoming
states: {a: {initial: true}, b: {final: true}}
transitions:
  sign: {from: a, to: b, by: leader, separate_from: [author], sign: {as: person}}
""",
            "w.yaml",
        )
        facts = Facts(
            "a",
            actor_id="service",
            people={"author": frozenset({"anh"})},
            signed_person=True,
            pending="sign",
            completing=Completion("sign", "anh", frozenset({"leader"})),
        )
        answer = decide(workflow, facts, "sign", {})
        assert isinstance(answer, Refusal)
        assert answer.code == "separation-of-duties"

    def test_a_number_given_with_the_signature_is_given_on_request_once(self) -> None:
        workflow = load_source(
            b"""\
workflow: w
version: 1
title: {en: W}
direction: incoming
states: {a: {initial: true}, b: {final: true}}
transitions:
  sign: {from: a, to: b, by: leader, number: letters, sign: {as: person}}
""",
            "w.yaml",
        )
        facts = Facts("a", roles=frozenset({"leader"}), actor_id="binh")
        request = decide(workflow, facts, "sign", {})
        assert isinstance(request, Decision)
        assert request.effects == (AllocateNumber("letters"), Sign("person", None))
        done = completing(replace(facts, signed_person=True, number="7"), "sign", "leader")
        complete = decide(workflow, done, "sign", {})
        assert isinstance(complete, Decision)
        assert complete.effects == ()
        unnumbered = decide(workflow, replace(done, number=None), "sign", {})
        assert isinstance(unnumbered, Refusal)
        assert unnumbered.rule == "has_number"


class TestAvailable:
    def test_every_transition_that_leaves_the_state_is_listed_in_order(self) -> None:
        listed = available(WORKFLOW, at("review", "unit_head"))
        assert [item.trigger for item in listed] == ["approve", "back", "hand", "drop"]

    def test_what_may_be_fired_and_what_not_with_the_reason(self) -> None:
        listed = {item.trigger: item for item in available(WORKFLOW, at("review", "clerk"))}
        assert not any(item.allowed for item in listed.values())
        refusal = listed["approve"].refusal
        assert refusal is not None
        assert refusal.code == "role-required"

    def test_input_that_is_still_to_be_filled_in_disallows_nothing(self) -> None:
        listed = {item.trigger: item for item in available(WORKFLOW, at("review", "unit_head"))}
        assert listed["back"].allowed
        assert listed["back"].refusal is None
        assert listed["back"].ask["reason"].required

    def test_it_tells_who_signs(self) -> None:
        listed = {item.trigger: item for item in available(WORKFLOW, READY)}
        assert (listed["sign"].signs, listed["drop"].signs) == ("person", None)

    def test_a_delivery_that_lacks_its_signature_is_not_allowed(self) -> None:
        facts = replace(SIGNED, signed_person=False)
        listed = {item.trigger: item for item in available(WORKFLOW, facts)}
        assert not listed["send"].allowed

    def test_nothing_is_available_at_the_end(self) -> None:
        assert available(WORKFLOW, at("kept", "clerk")) == []

    def test_it_agrees_with_decide(self) -> None:
        for state in WORKFLOW.definition.states:
            for role in ("author", "unit_head", "leader", "clerk"):
                facts = at(state, role, number="7", signed_person=True)
                for item in available(WORKFLOW, facts):
                    asked = {name: "u1" for name, field in item.ask.items() if field.required}
                    answer = decide(WORKFLOW, facts, item.trigger, asked)
                    assert isinstance(answer, Decision) == item.allowed


def test_deciding_changes_nothing() -> None:
    before = repr(READY)
    decided(READY, "sign")
    assert repr(READY) == before
    assert decided(READY, "sign") == decided(READY, "sign")


def test_eight_threads_share_one_compiled_workflow() -> None:
    jobs = [
        (FULL, "submit", {}, "review"),
        (at("review", "leader"), "approve", {}, "ready"),
        (at("review", "unit_head"), "back", {"reason": "x"}, "draft"),
        (READY, "sign", {}, "ready"),
        (completing(replace(READY, signed_person=True), "sign", "leader"), "sign", {}, "signed"),
        (at("review", "clerk"), "approve", {}, "role-required"),
        (replace(FULL, has_main_file=False), "submit", {}, "guard-failed"),
        (at("kept", "clerk"), "keep", {}, "closed"),
    ]

    def run(number: int) -> list[tuple[str, str]]:
        facts, trigger, asked, expected = jobs[number]
        wrong = []
        for _ in range(1500):
            answer = decide(WORKFLOW, facts, trigger, asked)
            got = answer.to if isinstance(answer, Decision) else answer.code
            if got != expected:
                wrong.append((trigger, got))
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(8))) == [[]] * 8
