"""What is wrong in a workflow file is told with file, line, what was written and what is right."""

from pathlib import Path

import pytest

from docflow.workflow import WorkflowFileError, load, load_folder, load_source

GOOD = """\
workflow: memo
version: 1
title: {en: Memo}
direction: incoming
fields:
  pages: {type: integer}
states:
  start: {initial: true, due: 1d}
  middle: {}
  end: {final: true}
transitions:
  go: {from: start, to: middle, by: clerk}
  finish: {from: middle, to: end, by: [clerk, leader], ask: {who: person!, note: text}}
"""


def told(text: str) -> list[str]:
    with pytest.raises(WorkflowFileError) as caught:
        load_source(text.encode(), "memo.yaml")
    return [str(problem) for problem in caught.value.problems]


def swapped(old: str, new: str) -> list[str]:
    assert old in GOOD
    return told(GOOD.replace(old, new))


def test_the_file_these_tests_spoil_is_good() -> None:
    compiled = load_source(GOOD.encode(), "memo.yaml")
    assert (compiled.name, compiled.version) == ("memo", 1)
    assert compiled.definition.initial == "start"


ROLES = "assignee, author, clerk, head, leader, specialist, system, unit_head"

ONE_SLIP = [
    # keys
    (
        "to: middle, by",
        "too: middle, to: middle, by",
        "12: transitions.go.too: 'too' is not a key here; did you mean 'to'? known: ask, by, do, "
        "from, number, require, separate_from, sign, title, to",
    ),
    (
        "direction: incoming",
        "direction: incoming\ndirektion: x",
        "5: direktion: 'direktion' is not a key here; did you mean 'direction'? known: always, "
        "calendar, direction, fields, never, states, title, transitions, version, workflow",
    ),
    (
        "due: 1d",
        "du: 1d",
        "8: states.start.du: 'du' is not a key here; did you mean 'due'? known: any_order, due, editable, "
        "final, initial, remind, retain, title",
    ),
    (
        "{type: integer}",
        "{type: integer, maximum: 3}",
        "6: fields.pages.maximum: 'maximum' is not a key here; did you mean 'max'? known: choices, "
        "max, min, required, title, type",
    ),
    # missing
    ("version: 1\n", "", "1: version: is missing; write version: 1"),
    (", by: clerk}", "}", "12: transitions.go.by: is missing; write by: author"),
    ("{type: integer}", "{max: 3}", "6: fields.pages.type: is missing; write type: text"),
    # types
    ("version: 1", "version: '1'", "2: version: '1' is not a whole number; write one as 1"),
    ("version: 1", "version: 1.5", "2: version: 1.5 is not a whole number; write one as 1"),
    ("version: 1", "version: true", "2: version: true is not a whole number; write one as 1"),
    ("version: 1", "version: 0", "2: version: 0 is out of bounds; write at least 1"),
    (
        "initial: true",
        "initial: yes",
        "8: states.start.initial: 'yes' is neither true nor false; write true or false",
    ),
    ("to: middle", "to: 3", "12: transitions.go.to: 3 is not text; write a name or quote it"),
    (
        "middle: {}",
        "middle:",
        "9: states.middle: nothing is not a mapping; write key: value pairs, {} if there are none",
    ),
    (
        "to: middle, by",
        "to: middle, require: has_unit, by",
        "12: transitions.go.require: 'has_unit' is not a list; write it as [has_unit]",
    ),
    ("{en: Memo}", "{}", "3: title: is empty; write at least 1"),
    # names
    (
        "workflow: memo",
        "workflow: The Memo",
        "1: workflow: 'The Memo' is not a code; write up to 40 lower-case letters, digits and -, "
        "a letter first",
    ),
    (
        "  middle: {}",
        "  middle: {}\n  Out-box: {}",
        "10: states.Out-box: 'Out-box' is not a name; write up to 40 lower-case letters, digits "
        "and _, a letter first",
    ),
    (
        "{en: Memo}",
        "{en: Memo, Vietnamese: x}",
        "3: title.Vietnamese: 'Vietnamese' is not a language; write a code as en or vi",
    ),
    (
        "direction: incoming",
        "direction: in",
        "4: direction: 'in' is not known here; write 'incoming' or 'outgoing'",
    ),
    ("{en: Memo}", "{vi: Thư}", "3: title: has no English title; add en"),
    # references
    (
        "to: middle",
        "to: midle",
        "12: transitions.go.to: 'midle' is no state; did you mean 'middle'? known: end, middle, "
        "start",
    ),
    (
        "from: middle",
        "from: [middle, strat]",
        "13: transitions.finish.from: 'strat' is no state; did you mean 'start'? known: end, "
        "middle, start",
    ),
    (
        "from: middle",
        "from: [middle, middle]",
        "13: transitions.finish.from: 'middle' is named twice; the second transition would be dead",
    ),
    (
        "from: middle",
        "from: [middle, end]",
        "13: transitions.finish.from: nothing leaves 'end': it is final",
    ),
    (
        "by: clerk}",
        "by: clerc}",
        f"12: transitions.go.by: 'clerc' is no role; did you mean 'clerk'? known: {ROLES}",
    ),
    (
        "by: clerk}",
        "by: administrator}",
        "12: transitions.go.by: 'administrator' may never fire a transition: administrators keep "
        f"the system running and take no part in a procedure; known: {ROLES}",
    ),
    (
        "by: clerk}",
        "by: [clerk, auditor]}",
        "12: transitions.go.by: 'auditor' may never fire a transition: auditors read the history "
        f"and change nothing; known: {ROLES}",
    ),
    (
        "by: clerk}",
        "by: clerk, require: [has_mainfile]}",
        "12: transitions.go.require: 'has_mainfile' is no guard; did you mean 'has_main_file'? "
        "known: has_assignee, has_main_file, has_number, has_recipients, has_unit, is_signed, "
        "not_duplicate, signature_valid",
    ),
    (
        "by: clerk}",
        "by: clerk, separate_from: [autor]}",
        "12: transitions.go.separate_from: 'autor' is no role or trigger; did you mean 'author'? "
        "known: assignee, author, finish, go",
    ),
    (
        "  finish: {",
        "  head: {",
        "13: transitions.head: a transition cannot have the name of a role; call it by what is "
        "done",
    ),
    # effects
    (
        "by: clerk}",
        "by: clerk, do: [deliverr]}",
        "12: transitions.go.do: 'deliverr' is no effect; did you mean 'deliver'? known: assign, "
        "deliver, route, void_number",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [assign]}",
        "12: transitions.go.do: assign uses the ask field 'assignee', which is not asked for; "
        "write ask: {assignee: person!}",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [{route: x}], ask: {x: text!}}",
        "12: transitions.go.do: route needs 'x' to be a unit, and it is a text",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [{assign: lead}], ask: {lead: person}}",
        "12: transitions.go.do: assign needs 'lead' to be required; write lead: person!",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [void_number]}",
        "12: transitions.go.do: void_number uses the ask field 'reason', which is not asked for; "
        "write ask: {reason: text!}",
    ),
    (
        "by: clerk}",
        "by: clerk, ask: {unit: unit!}, do: [route, route]}",
        "12: transitions.go.do: route is there twice; keep one",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [{deliver: x}]}",
        "12: transitions.go.do: deliver takes no field; write just deliver",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [{assign: 1}]}",
        "12: transitions.go.do: assign takes the name of an `ask` field, as {assign: lead}",
    ),
    (
        "by: clerk}",
        "by: clerk, do: [{assign: a, route: b}]}",
        "12: transitions.go.do: an effect is one name, as deliver, or one pair, as {assign: lead}",
    ),
    # numbers and signatures
    (
        "by: clerk}",
        "by: clerk, number: {book: incoming, date: day}}",
        "12: transitions.go.number.date: number uses the ask field 'day', which is not asked for; "
        "write ask: {day: date}",
    ),
    (
        "by: clerk}",
        "by: clerk, number: a, ask: {reason: text!}, do: [void_number]}",
        "12: transitions.go.number: a transition cannot give a number and void it",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: persons}}",
        "12: transitions.go.sign.as: 'persons' is no signer; did you mean 'person'? known: "
        "organisation, person",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, level: B-LTA}}",
        "12: transitions.go.sign.level: the archive time stamp comes after the seal and covers the "
        "personal signature too; write B-LT",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, fallback: B-T}}",
        "12: transitions.go.sign.fallback: a fallback is lower than a level that is named; write "
        "level too",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, level: B-T, fallback: B-LT}}",
        "12: transitions.go.sign.fallback: B-LT is not lower than B-T; leave it out",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, level: BB}}",
        "12: transitions.go.sign.level: 'BB' is no signature level; did you mean 'B-B'? known: "
        "B-B, B-LT, B-LTA, B-T",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: middle}}}",
        "12: transitions.go.sign.place.qr: 'middle' is no place on the page; known: bottom-centre, "
        "bottom-left, bottom-right, standard, top-centre, top-left, top-right",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: {page: first, x: 1}}}}",
        "12: transitions.go.sign.place.qr: a place lacks y; write {page: first, x: 150, y: 20}",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: {page: 0, x: 1, y: 1}}}}",
        "12: transitions.go.sign.place.qr: page 0 is not a page; write first, last or a number "
        "from 1",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: {page: 1, x: 1e9, y: 1}}}}",
        "12: transitions.go.sign.place.qr: x: 1000000000.0 is not a length; write millimetres "
        "from 0 to 1200",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: {page: 1, x: 1, y: 1, z: 1}}}}",
        "12: transitions.go.sign.place.qr: 'z' is no key of a place; known: page, x, y",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {qr: 3}}}",
        "12: transitions.go.sign.place.qr: a place is standard, a corner as top-right, or {page: "
        "first, x: 150, y: 20}",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: person, place: {}}}",
        "12: transitions.go.sign.place: places nothing; name number, date, qr or signature, or "
        "leave it out",
    ),
    (
        "by: clerk}",
        "by: clerk, sign: {as: organisation, place: {qr: standard}}}",
        "12: transitions.go.sign.place: the seal is the last signature and adds nothing to the "
        "page; place belongs to the personal signature before it",
    ),
    (
        "by: clerk}",
        "by: [clerk, system], sign: {as: organisation}}",
        "12: transitions.go.by: a signature is asked for by a person; take system out of by",
    ),
    # states
    (
        "initial: true, ",
        "",
        "7: states: no state is initial; write initial: true on the one documents start in",
    ),
    (
        "middle: {}",
        "middle: {initial: true}",
        "9: states.middle.initial: 'start' is initial already; exactly one state is",
    ),
    (
        "end: {final: true}",
        "end: {final: true, editable: true}",
        "10: states.end.editable: what is final cannot be editable; leave one of them out",
    ),
    (
        "end: {final: true}",
        "end: {final: true, due: 1d}",
        "10: states.end.due: nothing is due in a final state; leave it out",
    ),
    (
        "due: 1d",
        "due: 3 days",
        "8: states.start.due: '3 days' is not a duration; write a whole number and d, h or m, as "
        "in 3d, 4h or 30m for office time, or 24h wall for time on the clock",
    ),
    (
        "due: 1d",
        "due: 3",
        "8: states.start.due: 3 is not a duration; write a whole number and d, h or m, as in 3d "
        "or 4h",
    ),
    ("due: 1d", "due: 4000d", "8: states.start.due: '4000d' is longer than 3660 days"),
    ("due: 1d", "due: -1d", "8: states.start.due: -1d is in the past; write a duration as 3d"),
    (
        "due: 1d",
        "due: 1d, remind: [2h]",
        "8: states.start.remind: a reminder comes before the due time; write -2h",
    ),
    (
        "due: 1d",
        "remind: [-2h]",
        "8: states.start.remind: there is nothing to remind of: the state has no due",
    ),
    (
        "end: {final: true}",
        "end: {final: true, retain: kind.retension}",
        "10: states.end.retain: 'kind.retension' is not a retention; did you mean "
        "'kind.retention'? write 10y, 90d or permanent, or kind.retention",
    ),
    (
        "end: {final: true}",
        "end: {final: true, retain: permanently}",
        "10: states.end.retain: 'permanently' is not a retention; did you mean 'permanent'? write "
        "10y, 90d or permanent, or kind.retention",
    ),
    (
        "end: {final: true}",
        "end: {final: true, retain: 10}",
        "10: states.end.retain: 10 is not a retention; write 10y, 90d or permanent, or "
        "kind.retention",
    ),
    (
        "end: {final: true}",
        "end: {final: true, retain: 101y}",
        "10: states.end.retain: '101y' is over 100 years; write permanent",
    ),
    (
        "due: 1d",
        "due: 1d, retain: 10y",
        "8: states.start.retain: what may still be changed is not kept; leave retain or editable "
        "out",
    ),
    # fields
    (
        "{type: integer}",
        "{type: number}",
        "6: fields.pages.type: 'number' is no field type; known: boolean, choice, date, integer, "
        "person, text, unit",
    ),
    (
        "{type: integer}",
        "{type: choice}",
        "6: fields.pages: a choice needs its choices; write choices: [a, b]",
    ),
    (
        "{type: integer}",
        "{type: choice, choices: [a, a]}",
        "6: fields.pages.choices: the same choice is there twice; keep one",
    ),
    (
        "{type: integer}",
        "{type: text, choices: [a]}",
        "6: fields.pages.choices: a field of type text has no choices; write type: choice",
    ),
    (
        "{type: integer}",
        "{type: date, max: 3}",
        "6: fields.pages.max: a field of type date has no max; leave it out",
    ),
    (
        "{type: integer}",
        "{type: text, max: 1000000}",
        "6: fields.pages.max: 1000000 characters; write a number from 0 to 100000",
    ),
    (
        "{type: integer}",
        "{type: integer, min: 3, max: 2}",
        "6: fields.pages.min: min 3 is greater than max 2; no value fits",
    ),
    (
        "note: text",
        "note: txt",
        "13: transitions.finish.ask.note: 'txt' is no field type; did you mean 'text'? known: "
        "boolean, choice, date, integer, person, text, unit",
    ),
    (
        "note: text",
        "note: choice!",
        "13: transitions.finish.ask.note: a choice needs its choices; write {type: choice, "
        "choices: [a, b]}",
    ),
    # never and always
    (
        "transitions:",
        "never: [end without stamp]\ntransitions:",
        "11: never: 'stamp' is no thing that can be lacking; known: number, seal, sign",
    ),
    (
        "transitions:",
        "never: [ending without sign]\ntransitions:",
        "11: never: 'ending' is no state; did you mean 'end'? known: end, middle, start",
    ),
    (
        "transitions:",
        "never: [nonsense]\ntransitions:",
        "11: never: 'nonsense' is not a rule; write STATE without sign, STATE without seal or "
        "STATE without number",
    ),
    (
        "transitions:",
        "always: [end reached]\ntransitions:",
        "11: always: 'end reached' is not known here; write 'final reachable'",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), ONE_SLIP, ids=[m for _, _, m in ONE_SLIP])
def test_one_slip_gives_one_sentence(old: str, new: str, message: str) -> None:
    assert swapped(old, new) == [f"memo.yaml:{message}"]


def test_no_final_state_is_told_on_the_states() -> None:
    assert (
        "memo.yaml:7: states: no state is final; write final: true on those documents end in"
        in (swapped("final: true", ""))
    )


def test_an_outgoing_workflow_that_delivers_nothing_is_refused() -> None:
    assert swapped("direction: incoming", "direction: outgoing") == [
        "memo.yaml:11: transitions: nothing delivers; an outgoing workflow needs a transition "
        "with do: [deliver]"
    ]


def test_all_slips_of_a_file_are_told_together_in_the_order_of_lines() -> None:
    text = (
        GOOD.replace("version: 1", "version: x")
        .replace("due: 1d", "due: soon")
        .replace("by: clerk}", "by: clark, requires: [x]}")
        .replace("to: middle", "to: midle")
    )
    lines = [int(problem.split(":")[1]) for problem in told(text)]
    assert lines == [2, 8, 12, 12, 12]


def test_what_is_not_a_mapping_at_all_is_told() -> None:
    assert told("- a\n- b\n") == [
        "memo.yaml:1: a list is not a mapping; write key: value pairs, {} if there are none"
    ]


def test_too_many_states_are_refused() -> None:
    states = "".join(f"  s{i}: {{}}\n" for i in range(101))
    assert "memo.yaml:7: states: is too long; at most 100" in told(
        GOOD.replace("  middle: {}\n", "  middle: {}\n" + states)
    )


def test_definitions_cannot_be_changed() -> None:
    definition = load_source(GOOD.encode(), "memo.yaml").definition
    with pytest.raises(TypeError):
        definition.states["new"] = definition.states["start"]  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        definition.version = 2  # type: ignore[misc]


def test_the_identity_of_a_version_is_the_digest_of_its_bytes() -> None:
    first = load_source(GOOD.encode(), "a.yaml")
    other = load_source((GOOD + "# a remark\n").encode(), "a.yaml")
    assert first.sha256 != other.sha256
    assert load_source(first.source.encode(), "stored").sha256 == first.sha256


def test_a_stored_version_is_loaded_without_being_proven_anew() -> None:
    dead_end = GOOD.replace("  middle: {}\n", "  middle: {}\n  island: {}\n")
    with pytest.raises(WorkflowFileError, match="no path from 'start' reaches it"):
        load_source(dead_end.encode(), "memo.yaml")
    assert "island" in load_source(dead_end.encode(), "stored", prove=False).definition.states


class TestFiles:
    def test_a_file_is_loaded_by_path(self, tmp_path: Path) -> None:
        path = tmp_path / "memo.yaml"
        path.write_text(GOOD, encoding="utf-8")
        assert load(path).file == str(path)

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WorkflowFileError, match="cannot be read: No such file"):
            load(tmp_path / "none.yaml")

    def test_a_third_file_in_the_folder_needs_no_code(self, tmp_path: Path) -> None:
        for name in ("memo", "note", "slip"):
            text = GOOD.replace("workflow: memo", f"workflow: {name}")
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        assert [compiled.name for compiled in load_folder(tmp_path)] == ["memo", "note", "slip"]

    def test_two_files_with_one_workflow_are_refused(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
        with pytest.raises(WorkflowFileError, match="workflow 'memo' is already in"):
            load_folder(tmp_path)

    def test_problems_of_all_files_are_told_together(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / f"{name}.yaml").write_text("x: 1\n", encoding="utf-8")
        with pytest.raises(WorkflowFileError) as caught:
            load_folder(tmp_path)
        assert {Path(problem.file).name for problem in caught.value.problems} == {
            "a.yaml",
            "b.yaml",
        }

    def test_a_folder_without_workflows_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(WorkflowFileError, match="the folder has no workflow"):
            load_folder(tmp_path)
