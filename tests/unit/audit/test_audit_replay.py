"""The vocabulary of history: every action that the code writes is one that verification knows."""

import ast
from itertools import product
from pathlib import Path

import docflow
from docflow.audit.replay import ACTIONS, NOTES, Replayed

SOURCE = Path(docflow.__file__).parent
# what a hole in an action's text is filled with, by the name of the variable
HOLES = {
    "step": {"staged", "prepared", "signed", "sealed", "validated", "contained"},
    "kind": {"break-glass", "lowering", "recovery"},
    "decision": {"approved", "refused"},
}
# custody hands these drafts on before they are noted; a lowering that is approved is a change
DECIDED = {
    f"document.{kind}-{decision}" for kind in HOLES["kind"] for decision in HOLES["decision"]
} - {"document.lowering-approved"}


def written() -> dict[str, set[str]]:
    """Return every action that a `Draft(…)` or `Change(…)` names, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Draft", "Change"):
                for action in actions(node.args[0], path):
                    found.setdefault(action, set()).add(path.name)
    return found


def actions(argument: ast.expr, path: Path) -> list[str]:
    """Return what the first argument can be: a text, or texts that a variable is given nearby."""
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.JoinedStr):
        texts = [
            [str(part.value)]
            if isinstance(part, ast.Constant)
            else sorted(HOLES[ast.unparse(part).strip("f'{}\"")])
            for part in argument.values
        ]
        return ["".join(each) for each in product(*texts)]
    assigned = [
        constant.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(argument)
        for constant in ast.walk(node.value)
        if isinstance(constant, ast.Constant) and "." in str(constant.value)
    ]
    return [str(value) for value in assigned]


def test_every_action_that_is_written_is_known() -> None:
    unknown = {action: names for action, names in written().items() if action not in ACTIONS}
    assert unknown == {}, "teach docflow.audit.replay what these say"


def test_no_action_is_known_that_nothing_writes() -> None:
    assert set(ACTIONS) - set(written()) == set()


def test_notes_are_exactly_what_changes_no_version() -> None:
    """`UnitOfWork.note` is called with these and no others."""
    noted: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("uow.note", "_note")
                ):
                    drafts = [c for c in ast.walk(node) if isinstance(c, ast.Call)]
                    noted |= {
                        action
                        for draft in drafts
                        if ast.unparse(draft.func) == "Draft"
                        and isinstance(draft.args[0], ast.Constant | ast.JoinedStr)
                        for action in actions(draft.args[0], path)
                    }
    assert noted | DECIDED == NOTES


def test_an_unknown_action_is_remembered_and_expects_nothing() -> None:
    replayed = Replayed()
    replayed.play("document.teleported", {"to": "mars"}, {})
    assert replayed.unknown == {"document.teleported"}
    assert (replayed.columns, replayed.changes) == ({}, 0)


def test_routing_takes_the_assignee_away_and_assigning_gives_one() -> None:
    replayed = Replayed()
    fired = {"from": "a", "to": "b", "phase": "complete"}
    replayed.play("document.fired", fired | {"assignee_id": "p"}, {})
    assert replayed.columns["assignee_id"] == "p"
    replayed.play("document.fired", fired | {"unit_id": "u"}, {})
    assert (replayed.columns["unit_id"], replayed.columns["assignee_id"]) == ("u", None)


def test_an_edit_of_what_is_not_told_leaves_nothing_to_expect() -> None:
    replayed = Replayed(columns={"classification": "internal", "subject": "cũ"})
    changed = {"changed": ["classification", "subject"]}
    replayed.play("document.edited", changed, {"subject": "mới"})
    assert replayed.columns == {"subject": "mới"}


def test_a_voided_number_stays_and_the_document_has_none() -> None:
    number = {
        "book": "outgoing",
        "period": "2026",
        "series": "QĐ",
        "number": 7,
        "symbol": "07/QĐ-VPUB",
        "numbered_on": "2026-03-02",
    }
    replayed = Replayed()
    replayed.play("document.fired", {"to": "approved", **number}, {})
    assert list(replayed.numbers.values()) == [False]
    replayed.play("document.fired", {"to": "withdrawn", "voided": "07/QĐ-VPUB"}, {})
    assert list(replayed.numbers.values()) == [True]
    assert replayed.columns["symbol"] is None
