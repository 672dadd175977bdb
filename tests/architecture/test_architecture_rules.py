import pytest

from tests.architecture.rules import (
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    RULES,
    Module,
    Rule,
    closed_states,
    explained,
    http_at_the_door,
    injected_clock,
    modules,
    one_committer,
    one_reader_of_the_environment,
    one_writer,
    plain_functions,
    small_files,
    small_functions,
    stable_codes,
    statements_only,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    broken = [f"{module.path}: {words}" for module in modules() for words in rule(module)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


LONG = "\n".join(["def f():", *["    x = 1"] * MAX_FUNCTION_LINES])

BROKEN: list[tuple[Rule, str, str, str]] = [
    (small_files, "people/a.py", "x = 1\n" * (MAX_FILE_LINES + 1), "split it"),
    (small_functions, "people/a.py", LONG, "f has 51 lines"),
    (explained, "people/a.py", "x = 1\n", "what the module is for"),
    (one_committer, "people/a.py", "connection.commit()", "unit_of_work"),
    (one_committer, "release/a.py", "database.engine.begin()", "unit_of_work"),
    (statements_only, "documents/a.py", "sa.text('SELECT 1')", "Core statement"),
    (statements_only, "documents/a.py", "c.exec_driver_sql('x')", "Core statement"),
    (one_writer, "documents/a.py", "c.execute(sa.update(t))", "UnitOfWork"),
    (http_at_the_door, "api/routes/a.py", "raise HTTPException(404)", "DocflowError"),
    (http_at_the_door, "people/a.py", "from fastapi import HTTPException", "DocflowError"),
    (closed_states, "release/a.py", "u.change(documents, r, {'state': 's'}, d)", "fire"),
    (closed_states, "api/a.py", "u.change(tables.documents, r, v | {'state': 's'}, d)", "fire"),
    (closed_states, "documents/change.py", "values |= {'state_since': now}", "fire.py"),
    (injected_clock, "people/a.py", "datetime.now(UTC)", "Clock"),
    (injected_clock, "people/a.py", "datetime.date.today()", "Clock"),
    (one_reader_of_the_environment, "storage/a.py", "os.environ['HOME']", "Settings"),
    (one_reader_of_the_environment, "storage/a.py", "os.getenv('HOME')", "Settings"),
    (plain_functions, "documents/a.py", "async def f(): pass", "plain `def`"),
    (stable_codes, "documents/a.py", "raise E('…', code='No_Such')", "words-with-hyphens"),
    (stable_codes, "documents/a.py", "class E:\n  default_code = 'Oh'", "words-with-hyphens"),
]


@pytest.mark.parametrize(("rule", "path", "text", "words"), BROKEN)
def test_a_rule_sees_what_breaks_it_and_says_what_is_right(
    rule: Rule, path: str, text: str, words: str
) -> None:
    found = list(rule(Module.of(path, text)))
    assert len(found) == 1
    assert words in found[0]


ALLOWED: list[tuple[Rule, str, str]] = [
    (one_committer, "db/engine.py", "connection.commit()"),
    (one_committer, "api/a.py", "staging.begin()"),
    (statements_only, "db/engine.py", "sa.text('SELECT 1')"),
    (statements_only, "signing/stamp.py", "canvas.text('15/QĐ')"),
    (one_writer, "documents/a.py", "fields.update(other)"),
    (closed_states, "documents/fire.py", "values |= {'state': 's', 'state_since': now}"),
    (closed_states, "jobs/records.py", "u.put(jobs, {'state': 'queued'})"),
    (closed_states, "documents/views.py", "Draft('document.refused', {'state': row['state']})"),
    (injected_clock, "people/a.py", "clock.now()"),
    (one_reader_of_the_environment, "signing/a.py", "run(env={**os.environ})"),
    (plain_functions, "api/a.py", "async def f(): pass"),
    (stable_codes, "documents/a.py", "raise E('…', code='not-a-pdf')"),
]


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED)
def test_a_rule_lets_pass_what_keeps_it(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Module.of(path, text))) == []


def test_every_rule_is_shown_to_catch_something() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES)


def test_there_is_code_to_look_at() -> None:
    rooms = {module.room for module in modules()}
    assert {"api", "db", "documents", "people", "release", "signing", "workflow"} <= rooms
