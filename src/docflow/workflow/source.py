"""From the bytes of a workflow file to plain data, with the line of every key kept. Bounded.

Rules:
1. YAML 1.2 as ruamel.yaml reads it: `yes`, `no` and `on` are text, a repeated key is an error.
2. Bounded before anything is built: bytes, nesting, number of values. Anchors and aliases are
   refused altogether (no alias bombs), and so are tags, directives and several documents.
3. Only text, whole numbers, decimals, true/false, null, sequences (as tuples) and mappings come
   out; what looks like a date stays text.
4. Whatever the bytes are, the only failure is a list of problems, each with its line.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from docflow.kernel.errors import ConfigurationError

MAX_FILE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 12
MAX_VALUES: Final = 20_000
_MAX_DIGITS: Final = 16

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_WRITTEN_WRONG = (
    YAMLError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    AssertionError,
    NotImplementedError,
    RecursionError,
)
"""What the YAML parser raises on broken text; beside its own errors, its own slips."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a workflow file: where, and a sentence that says what would be right."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """Return `file:line: message`, as editors and terminals make clickable."""
        return f"{self.file}:{self.line}: {self.message}"


class WorkflowFileError(ConfigurationError):
    """One or more workflow files are wrong; `problems` has everything that was found."""

    default_code = "workflow-invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Hold the problems, in the order of files and lines."""
        self.problems = tuple(problems)
        count = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
        super().__init__(
            f"{count} in the workflow files:\n" + "\n".join(str(problem) for problem in problems),
            problems=[str(problem) for problem in problems],
        )


@dataclass(frozen=True, slots=True)
class Source:
    """The data of one workflow file, and the line of every key and item in it."""

    file: str
    text: str
    data: Any
    lines: Mapping[Path, int]

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of `path`, or of the nearest thing around it that has one."""
        key = tuple(path)
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def problem(self, path: Sequence[str | int], message: str) -> Problem:
        """Return the problem `message` at `path`, which the message is made to name."""
        shown = ".".join(str(part) for part in path if isinstance(part, str))
        return Problem(self.file, self.line(path), f"{shown}: {message}" if shown else message)


def read_source(data: bytes, file: str) -> Source:
    """Read a workflow file's bytes.

    Raises:
        WorkflowFileError: if it is too large, not UTF-8, not YAML, or uses what rule 2 refuses.
    """
    text = _decode(data, file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about YAML 1.1 habits; rules 1 and 3 settle those
            _bound(_parser().parse(text), file)
            root = _parser().compose(text)
    except WorkflowFileError:
        raise
    except _WRITTEN_WRONG as error:
        raise WorkflowFileError([_syntax_problem(error, file)]) from error
    if root is None:
        raise WorkflowFileError([Problem(file, 1, "the file is empty; write a workflow")])
    reader = _Reader(file)
    plain = reader.plain(root, ())
    if reader.problems:
        raise WorkflowFileError(reader.problems)
    return Source(file, text, plain, reader.lines)


def _parser() -> YAML:
    return YAML(typ="safe", pure=True)


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise WorkflowFileError(
            [Problem(file, 1, f"the file is larger than {MAX_FILE_BYTES} bytes; shorten it")]
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkflowFileError(
            [Problem(file, line, "the file is not UTF-8 text; save it as UTF-8")]
        ) from error


def _bound(events: Iterator[Event], file: str) -> None:
    """Refuse what rule 2 refuses, before anything is built from the events."""
    depth = values = documents = 0
    for event in events:
        wrong = _refused(event)
        documents += isinstance(event, DocumentStartEvent)
        values += isinstance(event, NodeEvent)
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if documents > 1:
            wrong = "a second YAML document starts here; write one workflow per file"
        if depth > MAX_DEPTH:
            wrong = f"nested deeper than {MAX_DEPTH} levels; no workflow needs that"
        if values > MAX_VALUES:
            wrong = f"more than {MAX_VALUES} values; no workflow needs that"
        if wrong:
            raise WorkflowFileError([Problem(file, event.start_mark.line + 1, wrong)])


def _refused(event: Event) -> str | None:
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        return "YAML directives are not read; leave the line out"
    if isinstance(event, NodeEvent) and event.anchor:  # an alias event has the anchor it names
        return "anchors and aliases (& and *) are not read; write the value out"
    if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag:
        return f"the tag {str(event.tag)[:60]!r} is not read; write the plain value"
    if isinstance(event, ScalarEvent) and _SURROGATE.search(str(event.value)):
        return "an escape as \\ud83d is half a character; write the character itself"
    return None


def _syntax_problem(error: Exception, file: str) -> Problem:
    line, message = 1, "the file is not YAML"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line = mark.line + 1
        told = "; ".join(str(part) for part in (error.context, error.problem) if part)
        message = f"{message}: {' '.join(told.split())}" if told else message
    elif isinstance(error, YAMLError):
        message = f"{message}: {' '.join(str(error).split())[:200]}"
    return Problem(file, line, message)


class _Reader:
    """Turns nodes into plain data, remembering lines and collecting problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def plain(self, node: Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return tuple(self.plain(item, (*path, i)) for i, item in enumerate(node.value))
        return _scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                scalar = isinstance(key_node, ScalarNode)
                shown = repr(str(key_node.value)[:40]) if scalar else "a list or mapping"
                self._wrong(line, f"{shown} cannot be a key; keys are names")
                continue
            if key in result:
                first = self.lines[(*path, key)]
                self._wrong(line, f"the key {key[:80]!r} is already on line {first}; keep one")
                continue
            self.lines[(*path, key)] = line
            result[key] = self.plain(value_node, (*path, key))
        return result

    def _wrong(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, message))


def _scalar(node: Node) -> Any:
    text = str(node.value)
    match str(node.tag).removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" if len(text) <= _MAX_DIGITS and text.lstrip("+-").isdecimal():
            return int(text)
        case "float":
            try:
                return float(text)
            except ValueError:
                return text
        case _:
            return text
