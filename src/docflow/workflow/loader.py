"""Loads workflow files: bytes → source → definition → resolved → proven → compiled.

Rules:
1. All errors of a file are reported together, each as `file:line: what is wrong; what is right`.
   Properties of the graph are judged once everything else is right.
2. The only failure is `WorkflowFileError`, whatever the bytes are.
3. A version that documents are pinned to is loaded from its stored text by `load_source`, with
   `prove=False`: it was proven when it came into force, and later rules do not take it away.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from docflow.kernel.canonical import sha256_hex
from docflow.workflow.complaints import explain
from docflow.workflow.definition import (
    FieldDefinition,
    NeverRule,
    NeverText,
    StateDefinition,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.graph import Graph, violations
from docflow.workflow.later_places import disagreements
from docflow.workflow.machine import CompiledWorkflow, Engine
from docflow.workflow.resolve import Complaint, Parts, resolve
from docflow.workflow.source import (
    MAX_FILE_BYTES,
    Problem,
    Source,
    WorkflowFileError,
    read_source,
)

_M = TypeVar("_M", bound=BaseModel)
_NEVER: TypeAdapter[NeverRule] = TypeAdapter(NeverText)


def load(path: Path) -> CompiledWorkflow:
    """Load and prove one workflow file.

    Raises:
        WorkflowFileError: with every problem of the file.
    """
    shown = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        told = error.strerror or "cannot be read"
        raise WorkflowFileError([Problem(shown, 1, f"cannot be read: {told}")]) from error
    return load_source(data, shown)


def load_source(data: bytes, name: str, *, prove: bool = True) -> CompiledWorkflow:
    """Load a workflow from the bytes of its file.

    Args:
        data: the bytes, as they were on disk; their SHA-256 is the version's identity.
        name: what to call the file in messages.
        prove: whether to judge the properties of the graph as well.

    Raises:
        WorkflowFileError: with every problem of the file.
    """
    source = read_source(data, name)
    definition = _definition(source)
    if prove:
        graph = Graph(definition)
        _fail(source, chain(violations(graph), disagreements(graph)))
    return CompiledWorkflow(
        definition=definition,
        sha256=sha256_hex(data),
        source=data.decode("utf-8"),
        file=name,
        engine=Engine(definition),
    )


def load_folder(folder: Path) -> tuple[CompiledWorkflow, ...]:
    """Load every `*.yaml` in a folder, by name; a third file needs no code.

    Raises:
        WorkflowFileError: with every problem of every file; also where two files give the same
            workflow, or the folder has none.
    """
    problems: list[Problem] = []
    loaded: dict[str, CompiledWorkflow] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            compiled = load(path)
        except WorkflowFileError as error:
            problems.extend(error.problems)
            continue
        first = loaded.setdefault(compiled.name, compiled)
        if first is not compiled:
            problems.append(
                Problem(
                    str(path), 1, f"workflow {compiled.name!r} is already in {first.file}; keep one"
                )
            )
    if not loaded and not problems:
        problems.append(Problem(str(folder), 1, "the folder has no workflow (*.yaml)"))
    if problems:
        raise WorkflowFileError(problems)
    return tuple(loaded[name] for name in sorted(loaded))


def _definition(source: Source) -> WorkflowDefinition:
    """Give the data its shape and resolve its names, or report all that is wrong with either."""
    complaints: list[Complaint] = []
    definition = None
    try:
        definition = WorkflowDefinition.model_validate(source.data)
    except ValidationError as error:
        complaints.extend(explain(error))
    complaints.extend(resolve(_parts(source.data)))
    _fail(source, complaints)
    if definition is None:  # pragma: no cover - a validation error has at least one complaint
        raise WorkflowFileError([source.problem((), "is not a workflow")])
    return definition


def _fail(source: Source, complaints: Iterable[Complaint]) -> None:
    problems = {source.problem(path, message) for path, message in complaints}
    if problems:
        raise WorkflowFileError(sorted(problems, key=lambda p: (p.line, p.message)))


def _parts(data: Any) -> Parts:
    """Pick what has the right shape out of data that as a whole may not have it."""
    top = data if isinstance(data, dict) else {}
    title, never = top.get("title"), top.get("never")
    return Parts(
        state_names=tuple(_mapping(top, "states")),
        triggers=tuple(_mapping(top, "transitions")),
        title=title if isinstance(title, dict) else {},
        fields=dict(_shaped(FieldDefinition, _mapping(top, "fields"))),
        states=dict(_shaped(StateDefinition, _mapping(top, "states"))),
        transitions=dict(_shaped(TransitionDefinition, _mapping(top, "transitions"))),
        ways=dict(_ways(_mapping(top, "transitions"))),
        never=dict(_never(never if isinstance(never, tuple) else ())),
        direction=str(top.get("direction")),
    )


def _mapping(top: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = top.get(key)
    return value if isinstance(value, dict) else {}


def _shaped(model: type[_M], items: Mapping[str, Any]) -> Iterator[tuple[str, _M]]:
    for name, item in items.items():
        try:
            yield name, model.model_validate(item)
        except ValidationError:
            continue  # told by the validation of the whole


def _ways(items: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str, ...], str | None]]]:
    for name, item in items.items():
        if isinstance(item, dict):
            sources, target = item.get("from"), item.get("to")
            listed = sources if isinstance(sources, tuple) else (sources,)
            yield (
                name,
                (
                    tuple(source for source in listed if isinstance(source, str)),
                    target if isinstance(target, str) else None,
                ),
            )


def _never(items: tuple[Any, ...]) -> Iterator[tuple[int, NeverRule]]:
    for index, item in enumerate(items):
        try:
            yield index, _NEVER.validate_python(item)
        except ValidationError:
            continue  # told by the validation of the whole
