"""Whatever the bytes are, a workflow file is loaded or refused with its problems; nothing else."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from docflow.kernel.canonical import canonical_json
from docflow.kernel.resources import bundled
from docflow.workflow import (
    CompiledWorkflow,
    WorkflowFileError,
    clean_fields,
    load_source,
    validate_fields,
)
from docflow.workflow.mermaid import mermaid
from docflow.workflow.source import read_source
from docflow.workflow.svg import svg

FILES = [
    (bundled("workflows") / f"{name}.yaml").read_text(encoding="utf-8")
    for name in ("incoming", "outgoing")
]
PIECES = sorted(
    {piece for text in FILES for piece in text.replace(",", " ").replace(":", " ").split()}
    | {"&a", "*a", "<<", "!!set", "!", "|", ">", "%YAML 1.1", "---", "...", "\t", "\x85", "\ufeff"}
    | {
        "null",
        "true",
        "0x1f",
        "0o17",
        "1e400",
        ".nan",
        "2026-01-01",
        "[",
        "]",
        "{",
        "}",
        "? ",
        "- ",
    }
)
QUIET = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load_or_refuse(data: bytes) -> CompiledWorkflow | None:
    try:
        compiled = load_source(data, "any.yaml")
    except WorkflowFileError as error:
        check_problems(error, data)
        return None
    assert mermaid(compiled.definition)
    return compiled


def check_problems(error: WorkflowFileError, data: bytes) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.file == "any.yaml"
        # YAML breaks lines at more characters than \n, but every break is at least a byte
        assert 1 <= problem.line <= len(data) + 1
        assert problem.message.strip()
        problem.message.encode("utf-8")


@given(st.binary(max_size=300))
@QUIET
def test_any_bytes(data: bytes) -> None:
    load_or_refuse(data)


@given(st.text(max_size=300))
@example("a: !!float x")
@example("{? }")
@example("- &\n")
@example("!<tag:yaml.org,2002:int> x")
@QUIET
def test_any_text(text: str) -> None:
    load_or_refuse(text.encode("utf-8", "surrogatepass"))


@given(st.lists(st.sampled_from([*PIECES, " ", "\n", "\n  ", ": ", ", "]), max_size=60))
@QUIET
def test_any_text_made_of_yaml(pieces: list[str]) -> None:
    load_or_refuse("".join(pieces).encode())


@given(st.sampled_from(FILES), st.data())
@QUIET
def test_the_shipped_files_with_pieces_cut_out_and_put_in(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        put = data.draw(st.sampled_from([*PIECES, ""]) | st.text(max_size=5))
        text = text[:start] + put + text[end:]
    compiled = load_or_refuse(text.encode("utf-8", "surrogatepass"))
    if compiled is not None:
        assert svg(compiled.definition)


@given(st.sampled_from(FILES), st.randoms(use_true_random=False))
@QUIET
def test_the_shipped_files_with_lines_moved(text: str, random: Any) -> None:
    lines = text.splitlines(keepends=True)
    for _ in range(3):
        lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
    load_or_refuse("".join(lines).encode())


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(PIECES)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@given(st.sampled_from(FILES), st.data())
@QUIET
def test_the_shipped_files_with_values_of_any_kind_anywhere(text: str, data: st.DataObject) -> None:
    whole = json.loads(json.dumps(read_source(text.encode(), "x").data))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places(whole)[1:]))
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(PIECES) | st.text(max_size=5))] = inner.pop(path[-1])
        else:
            inner[path[-1]] = data.draw(ANY_JSON)
    load_or_refuse(json.dumps(whole, ensure_ascii=data.draw(st.booleans())).encode())


DEFINITION = load_source(
    b"""\
workflow: w
version: 1
title: {en: W}
direction: incoming
fields:
  text: {type: text}
  number: {type: integer, max: 9}
  day: {type: date, required: true}
  flag: {type: boolean}
  pick: {type: choice, choices: [a, b]}
  who: {type: person}
states: {a: {initial: true}, b: {final: true}}
transitions: {go: {from: a, to: b, by: clerk}}
""",
    "w.yaml",
).definition


@given(
    st.dictionaries(
        st.sampled_from(sorted(DEFINITION.fields)) | st.text(max_size=5), ANY_JSON, max_size=6
    ),
    st.booleans(),
)
@QUIET
def test_values_of_any_kind_are_kept_or_told(values: dict[str, Any], complete: bool) -> None:
    problems = validate_fields(DEFINITION, values, complete)
    clean = clean_fields(DEFINITION, values)
    canonical_json(clean)
    assert validate_fields(DEFINITION, clean, False) == []
    told = {problem.pointer.removeprefix("/fields/") for problem in problems}
    assert not told & set(clean)
    for problem in problems:
        problem.pointer.encode("utf-8")


def test_half_a_character_is_told_with_its_line() -> None:
    source = b'workflow: w\nversion: 1\ntitle: {en: "\\ud83d\\ude00"}\n'
    with pytest.raises(WorkflowFileError, match="half a character") as refused:
        load_source(source, "any.yaml")
    assert [problem.line for problem in refused.value.problems] == [3]
