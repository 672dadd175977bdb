"""Properties of the graph: each violation is told with the path that breaks it."""

import pytest

from docflow.workflow import WorkflowFileError, load_source

HEAD = """\
workflow: letter
version: 1
title: {en: Letter}
direction: %s
states:
%s
transitions:
%s
"""


def source(states: list[str], transitions: list[str], direction: str = "outgoing") -> bytes:
    shown = ("\n".join(f"  {line}" for line in lines) for lines in (states, transitions))
    return (HEAD % (direction, *shown)).encode()


def told(data: bytes) -> list[str]:
    with pytest.raises(WorkflowFileError) as caught:
        load_source(data, "letter.yaml")
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


STATES = [
    "draft: {initial: true}",
    "ready: {}",
    "signed: {}",
    "out: {final: true}",
    "dropped: {final: true}",
]
TRANSITIONS = [
    "submit: {from: draft, to: ready, by: author, number: outgoing}",
    "sign: {from: ready, to: signed, by: leader, sign: {as: person}}",
    "send: {from: signed, to: out, by: clerk, sign: {as: organisation}, do: [deliver]}",
    "drop: {from: [ready, signed], to: dropped, by: head, ask: {reason: text!}, do: [void_number]}",
]


def with_transition(index: int, line: str) -> bytes:
    return source(STATES, [*TRANSITIONS[:index], line, *TRANSITIONS[index + 1 :]])


def with_extra(*lines: str, states: tuple[str, ...] = ()) -> bytes:
    return source([*STATES, *states], [*TRANSITIONS, *lines])


def test_the_workflow_these_tests_spoil_is_sound() -> None:
    load_source(source(STATES, TRANSITIONS), "letter.yaml")


class TestReaching:
    def test_a_state_that_nothing_leads_to(self) -> None:
        assert told(
            with_extra("leave: {from: lost, to: out, by: clerk}", states=("lost: {}",))
        ) == [
            "11: states.lost: no path from 'draft' reaches it; add a transition to it or drop it",
            "17: transitions.leave: is dead: lost -leave-> out never fires, because 'lost' is "
            "never reached",
        ]

    def test_a_state_from_which_no_end_can_be_reached(self) -> None:
        data = with_extra(
            "park: {from: ready, to: parked, by: clerk}",
            "turn: {from: parked, to: parked, by: clerk}",
            states=("parked: {}",),
        )
        assert told(data) == [
            "11: states.parked: from here no final state can be reached: "
            "draft -submit-> ready -park-> parked"
        ]

    def test_a_transition_whose_guard_never_holds_there(self) -> None:
        data = with_extra("skip: {from: draft, to: dropped, by: head, require: [is_signed]}")
        assert told(data) == [
            "16: transitions.skip: is dead: draft -skip-> dropped never fires, because what it "
            "requires (has_number, is_signed) never holds there"
        ]

    def test_an_end_that_only_a_guard_shuts_off(self) -> None:
        data = source(
            ["a: {initial: true}", "b: {final: true}"],
            ["go: {from: a, to: b, by: clerk, require: [has_number]}"],
            "incoming",
        )
        assert "6: states.a: from here no final state can be reached: a" in told(data)


class TestDelivering:
    def test_without_a_number(self) -> None:
        data = with_transition(0, "submit: {from: draft, to: ready, by: author}")
        assert told(data) == [
            "14: transitions.send: delivers without a number: "
            "draft -submit-> ready -sign-> signed -send-> out"
        ]

    def test_without_a_personal_signature(self) -> None:
        data = with_transition(1, "sign: {from: ready, to: signed, by: leader}")
        assert told(data) == [
            "14: transitions.send: delivers without a personal signature: "
            "draft -submit-> ready -sign-> signed -send-> out"
        ]

    def test_without_the_seal(self) -> None:
        data = with_transition(2, "send: {from: signed, to: out, by: clerk, do: [deliver]}")
        assert told(data) == [
            "14: transitions.send: delivers without the organisation's seal: "
            "draft -submit-> ready -sign-> signed -send-> out"
        ]

    def test_by_a_side_way_that_skips_the_signature(self) -> None:
        data = with_extra("rush: {from: ready, to: signed, by: leader}")
        assert told(data) == [
            "14: transitions.send: delivers without a personal signature: "
            "draft -submit-> ready -rush-> signed -send-> out"
        ]

    def test_by_a_side_way_that_a_guard_shuts_is_sound(self) -> None:
        data = source(
            STATES,
            [
                *TRANSITIONS[:2],
                TRANSITIONS[2].replace("by: clerk", "by: clerk, require: [is_signed, has_number]"),
                TRANSITIONS[3],
                "rush: {from: ready, to: signed, by: leader}",
            ],
        )
        load_source(data, "letter.yaml")

    def test_an_editable_state_on_the_way_drops_the_signature(self) -> None:
        data = with_extra(
            "amend: {from: signed, to: amending, by: clerk}",
            "done: {from: amending, to: signed, by: clerk}",
            states=("amending: {editable: true}",),
        )
        assert told(data) == [
            "15: transitions.send: delivers without a personal signature: draft -submit-> ready "
            "-sign-> signed -amend-> amending -done-> signed -send-> out"
        ]

    def test_a_voided_number_is_no_number(self) -> None:
        data = with_extra(
            "renumber: {from: signed, to: signed, by: clerk, ask: {reason: text!}, "
            "do: [void_number]}"
        )
        assert told(data) == [
            "14: transitions.send: delivers without a number: draft -submit-> ready -sign-> "
            "signed -renumber-> signed -send-> out"
        ]

    def test_what_was_delivered_never_becomes_editable_again(self) -> None:
        states = [s.replace("out: {final: true}", "out: {}") for s in STATES]
        data = source(
            [*states, "kept: {final: true}"],
            [
                *TRANSITIONS,
                "keep: {from: out, to: kept, by: clerk}",
                "reopen: {from: out, to: draft, by: leader}",
            ],
        )
        assert (
            "18: transitions.reopen.to: makes a document editable that was delivered already: "
            "draft -submit-> ready -sign-> signed -send-> out -reopen-> draft"
        ) in told(data)


class TestSigning:
    def test_a_second_personal_signature_on_every_way_is_sound(self) -> None:
        data = source(
            [*STATES, "half: {}"],
            [
                TRANSITIONS[0],
                "first: {from: ready, to: half, by: leader, sign: {as: person}}",
                "second: {from: half, to: signed, by: head, sign: {as: person}}",
                *TRANSITIONS[2:],
            ],
        )
        assert load_source(data, "letter.yaml").persons == 2

    def test_personal_signatures_without_end(self) -> None:
        data = with_extra("cosign: {from: signed, to: signed, by: leader, sign: {as: person}}")
        assert told(data) == [
            "16: transitions.cosign.sign: puts more than 8 personal signatures on one file: "
            "draft -submit-> ready -sign-> signed" + " -cosign-> signed" * 8
        ]

    def test_a_way_to_the_seal_without_the_second_personal_signature(self) -> None:
        data = with_extra(
            "cosign: {from: signed, to: twice, by: head, sign: {as: person}}",
            "send_both: {from: twice, to: out, by: clerk, sign: {as: organisation}, do: [deliver]}",
            states=("twice: {}",),
        )
        assert told(data) == [
            "15: transitions.send.sign: seals with 1 of 2 personal signatures; every way to the "
            "seal has to make as many: draft -submit-> ready -sign-> signed -send-> out"
        ]

    def test_without_sign_means_without_every_personal_signature(self) -> None:
        data = source(
            [*STATES, "half: {}"],
            [
                TRANSITIONS[0],
                "first: {from: ready, to: half, by: leader, sign: {as: person}}",
                "second: {from: half, to: signed, by: head, sign: {as: person}}",
                *TRANSITIONS[2:],
            ],
        )
        data += b"never: [half without sign]\n"
        assert [one.partition(": ")[2] for one in told(data)] == [
            "transitions.first: breaks never: half without sign: "
            "draft -submit-> ready -first-> half"
        ]

    def test_a_place_on_a_page_that_is_signed_already(self) -> None:
        data = source(
            [*STATES, "half: {}"],
            [
                TRANSITIONS[0],
                "first: {from: ready, to: half, by: leader, sign: {as: person}}",
                "second: {from: half, to: signed, by: head, "
                "sign: {as: person, place: {qr: standard}}}",
                *TRANSITIONS[2:],
            ],
        )
        assert [one.partition(": ")[2] for one in told(data)] == [
            "transitions.second.sign: places something on a page that is signed already: "
            "draft -submit-> ready -first-> half -second-> signed"
        ]

    def test_a_signature_after_the_seal(self) -> None:
        data = with_extra(
            "seal: {from: ready, to: sealed, by: clerk, sign: {as: organisation}}",
            "late: {from: sealed, to: dropped, by: leader, sign: {as: person}, "
            "ask: {reason: text!}, do: [void_number]}",
            states=("sealed: {}",),
        )
        assert told(data) == [
            "18: transitions.late.sign: signs after the seal, and the seal is the last signature: "
            "draft -submit-> ready -seal-> sealed -late-> dropped"
        ]

    def test_a_number_on_the_page_before_there_is_one(self) -> None:
        data = source(
            STATES,
            [
                "submit: {from: draft, to: ready, by: author}",
                "sign: {from: ready, to: signed, by: leader, "
                "sign: {as: person, place: {number: standard}}}",
                TRANSITIONS[2].replace("by: clerk", "by: clerk, number: outgoing"),
                TRANSITIONS[3],
            ],
        )
        assert told(data) == [
            "13: transitions.sign.sign: places a number or date on the page while the document may "
            "have no number: draft -submit-> ready -sign-> signed"
        ]

    def test_a_number_given_by_the_signing_itself_is_on_the_page_in_time(self) -> None:
        data = source(
            STATES,
            [
                "submit: {from: draft, to: ready, by: author}",
                "sign: {from: ready, to: signed, by: leader, number: outgoing, "
                "sign: {as: person, place: {number: standard, date: top-right}}}",
                *TRANSITIONS[2:],
            ],
        )
        load_source(data, "letter.yaml")


class TestSeparation:
    def test_the_author_alone_separated_from_the_author(self) -> None:
        data = with_extra("ok: {from: ready, to: ready, by: author, separate_from: [author]}")
        assert told(data) == [
            "16: transitions.ok.separate_from: no one could ever fire it: only author may, and "
            "just that is excluded (no one approves what they wrote)"
        ]

    def test_the_author_separated_from_what_the_author_always_fires(self) -> None:
        data = with_extra("ok: {from: ready, to: ready, by: author, separate_from: [submit]}")
        assert told(data) == [
            "16: transitions.ok.separate_from: no one could ever fire it: only the author may, and "
            "the author always fires 'submit' before (no one approves what they wrote)"
        ]

    def test_the_author_separated_from_what_may_not_have_been_fired_is_sound(self) -> None:
        data = with_extra(
            "ok: {from: ready, to: ready, by: author, separate_from: [submit]}",
            "pull: {from: draft, to: ready, by: head, number: outgoing}",
        )
        load_source(data, "letter.yaml")

    def test_two_roles_of_which_one_remains_is_sound(self) -> None:
        data = with_extra(
            "ok: {from: ready, to: ready, by: [author, leader], separate_from: [author]}"
        )
        load_source(data, "letter.yaml")


class TestEnding:
    def test_undelivered_with_a_number_in_hand(self) -> None:
        data = with_transition(3, "drop: {from: [ready, signed], to: dropped, by: head}")
        assert told(data) == [
            "15: transitions.drop: ends a document undelivered with its number in hand; add do: "
            "[void_number], with ask: {reason: text!}: draft -submit-> ready -drop-> dropped"
        ]

    def test_undelivered_without_a_number_needs_no_voiding(self) -> None:
        load_source(with_extra("cancel: {from: draft, to: dropped, by: author}"), "letter.yaml")

    def test_an_incoming_document_keeps_its_number(self) -> None:
        data = source(
            ["in: {initial: true}", "done: {final: true}"],
            ["close: {from: in, to: done, by: clerk, number: incoming}"],
            "incoming",
        )
        load_source(data, "letter.yaml")


class TestNever:
    @pytest.mark.parametrize(
        ("rule", "broken"),
        [
            ("ready without number", False),
            ("ready without sign", True),
            ("signed without sign", False),
            ("signed without seal", True),
            ("out without seal", False),
        ],
    )
    def test_what_is_forbidden_is_judged_on_every_path(self, rule: str, broken: bool) -> None:
        data = source(STATES, TRANSITIONS) + f"never: [{rule}]\n".encode()
        if not broken:
            load_source(data, "letter.yaml")
            return
        state = rule.partition(" ")[0]
        (problem,) = told(data)
        assert f"breaks never: {rule}: draft -submit->" in problem
        assert problem.endswith(f"-> {state}")

    def test_final_reachable_may_be_written_and_is_proven_anyway(self) -> None:
        data = source(STATES, TRANSITIONS) + b"always: [final reachable]\n"
        load_source(data, "letter.yaml")


def test_each_broken_property_is_told_once_with_its_shortest_path() -> None:
    data = source(
        [
            "a: {initial: true}",
            "b: {}",
            "c: {}",
            "out: {final: true}",
        ],
        [
            "ab: {from: a, to: b, by: clerk}",
            "bc: {from: b, to: c, by: clerk}",
            "ca: {from: c, to: a, by: clerk}",
            "send: {from: [b, c], to: out, by: clerk, do: [deliver]}",
        ],
    )
    problems = told(data)
    assert len(problems) == 3
    assert all(problem.endswith("a -ab-> b -send-> out") for problem in problems)
