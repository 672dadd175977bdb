"""docs/errors.md and the code name the same errors, and every error has a status.

Codes are read from the source itself: what is given as `code` to an error, what a class has as
`default_code`, the kinds of a workflow's refusal. Where a code is a parameter or a text with a
hole, every call that fills it is followed; a code that cannot be followed fails the test.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

import docflow
from docflow.api.problems import _STATUS, status_of
from docflow.documents.fire import refusal_error
from docflow.kernel import errors
from docflow.kernel.errors import ConfigurationError
from docflow.storage.s3_errors import REASONS
from docflow.workflow.facts import Refusal, RefusalCode

ROOT = Path(docflow.__file__).parent
DOCUMENT = ROOT.parent.parent / "docs" / "errors.md"
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LINE = re.compile(
    r"\| `(?P<code>[^`]+)` \| (?P<status>[^|]+) \| (?P<when>[^|]+) \| (?P<do>[^|]+) \|"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Values that are looked up at run time; where they come from is collected on its own.
ELSEWHERE = {
    "error.code": "passed on from an error that was raised",
    "refusal.code": "a workflow's refusal: the values of RefusalCode",
    "code or self.default_code": "the root class",
    "reason.code": "an S3 service's refusal: the codes of s3_errors.REASONS",
}


@dataclass(frozen=True)
class Module:
    """A source file, with which function each node lies in."""

    name: str
    tree: ast.Module
    inside: dict[ast.AST, Function]


def modules() -> list[Module]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        inside: dict[ast.AST, Function] = {}
        for function in ast.walk(tree):
            if isinstance(function, Function):
                inside.update((node, function) for node in ast.walk(function))
        # an inner function is walked after the outer one, so each node has its innermost
        found.append(Module(str(path.relative_to(ROOT)), tree, inside))
    return found


class Codes:
    """Every code that the source can give an error, with where."""

    def __init__(self) -> None:
        self.modules = modules()
        self.found: dict[str, set[str]] = {}
        self.statuses: dict[str, set[int]] = {}
        kinds = {kind.__name__: kind for kind in every_error()}
        for module in self.modules:
            for node in ast.walk(module.tree):
                for expression in given(node):
                    where = f"{module.name}:{expression.lineno}"
                    for code in self.values(module, expression, frozenset()):
                        self.found.setdefault(code, set()).add(where)
                        kind = kinds.get(called(node)) if isinstance(node, ast.Call) else None
                        if kind is not None:
                            self.statuses.setdefault(code, set()).add(status_of(kind("")))
        for code in get_args(RefusalCode):
            self.found.setdefault(code, set()).add("workflow/facts.py")
            refusal = refusal_error(Refusal(code, "", "", ""), {"state": "", "version": 1})
            self.statuses.setdefault(code, set()).add(status_of(refusal))
        for reason in REASONS:
            self.found.setdefault(reason.code, set()).add("storage/s3_errors.py")
            self.statuses.setdefault(reason.code, set()).add(status_of(ConfigurationError("")))
        for kind in kinds.values():
            self.statuses.setdefault(kind.default_code, set()).add(status_of(kind("")))

    def values(
        self, module: Module, expression: ast.expr, seen: frozenset[tuple[str, str]]
    ) -> set[str]:
        """Return every text that an expression can be."""
        match expression:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.Constant(value=None):
                return set()
            case ast.JoinedStr(values=parts):
                texts = [self.values(module, part, seen) for part in parts]
                return {"".join(each) for each in product(*texts)}
            case ast.FormattedValue(value=inner):
                return self.values(module, inner, seen)
            case ast.IfExp(body=one, orelse=other):
                return self.values(module, one, seen) | self.values(module, other, seen)
            case ast.Call(
                func=ast.Attribute(value=inner, attr="replace"),
                args=[ast.Constant(value=str(old)), ast.Constant(value=str(new))],
            ):
                return {text.replace(old, new) for text in self.values(module, inner, seen)}
            case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="get"), args=[_, rest]):
                return self.table(module, expression, table) | self.values(module, rest, seen)
            case ast.Name(id=name):
                return self.parameter(module, expression, name, seen)
        if ast.unparse(expression) in ELSEWHERE:
            return set()
        raise AssertionError(
            f"{module.name}:{expression.lineno}: cannot tell which codes "
            f"{ast.unparse(expression)!r} can be; write them so that they can be followed"
        )

    def table(self, module: Module, place: ast.expr, name: str) -> set[str]:
        """Return the values of a dictionary that is written out in the same function."""
        for node in ast.walk(module.inside[place]):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=ast.Dict(values=values)):
                    if target == name:
                        return {str(ast.literal_eval(value)) for value in values}
        raise AssertionError(f"{module.name}:{place.lineno}: {name} is not written out there")

    def parameter(
        self, module: Module, place: ast.expr, name: str, seen: frozenset[tuple[str, str]]
    ) -> set[str]:
        """Return what every call gives a parameter of the function around."""
        function = module.inside[place]
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        keywords = [argument.arg for argument in function.args.kwonlyargs]
        if name not in names + keywords:
            raise AssertionError(f"{module.name}:{place.lineno}: {name!r} is no parameter")
        if (function.name, name) in seen:
            return set()
        seen |= {(function.name, name)}
        found: set[str] = set()
        for other in self.modules:
            if function.name.startswith("_") and other is not module:
                continue
            for node in ast.walk(other.tree):
                if isinstance(node, ast.Call) and called(node) == function.name:
                    for value in argument_of(node, names, name):
                        found |= self.values(other, value, seen)
        default = default_of(function, name)
        return found | (self.values(module, default, seen) if default is not None else set())


def given(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions by which a node gives an error its code."""
    match node:
        case ast.AnnAssign(target=ast.Name(id="default_code"), value=ast.expr() as value):
            yield value
        case ast.Assign(targets=[ast.Name(id="default_code")], value=value):
            yield value
        case ast.Call() if called(node).endswith("Error") or called(node) in {"kind", "__init__"}:
            yield from (word.value for word in node.keywords if word.arg == "code")
        case ast.Call(func=ast.Name(id="document"), args=[_, code, *_]):
            yield code


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def argument_of(call: ast.Call, names: list[str], name: str) -> list[ast.expr]:
    if name in names and len(call.args) > (position := names.index(name)):
        return [call.args[position]]
    return [word.value for word in call.keywords if word.arg == name]


def default_of(function: Function, name: str) -> ast.expr | None:
    arguments = [*function.args.posonlyargs, *function.args.args]
    given_late = zip(reversed(arguments), reversed(function.args.defaults), strict=False)
    late = {argument.arg: value for argument, value in given_late}
    only = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    late |= {argument.arg: value for argument, value in only if value is not None}
    return late.get(name)


@pytest.fixture(scope="module")
def collected() -> Codes:
    return Codes()


@pytest.fixture(scope="module")
def codes(collected: Codes) -> dict[str, set[str]]:
    return collected.found


@pytest.fixture(scope="module")
def documented() -> dict[str, re.Match[str]]:
    lines = [m for m in map(LINE.fullmatch, DOCUMENT.read_text("utf-8").splitlines()) if m]
    found = {line["code"]: line for line in lines}
    assert len(found) == len(lines), "a code is documented twice"
    return found


def subclasses(kind: type[errors.DocflowError]) -> Iterator[type[errors.DocflowError]]:
    for below in kind.__subclasses__():
        yield below
        yield from subclasses(below)


def every_error() -> list[type[errors.DocflowError]]:
    for found in pkgutil.walk_packages(docflow.__path__, "docflow."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    return sorted(set(subclasses(errors.DocflowError)), key=lambda kind: kind.__qualname__)


def test_every_code_is_documented(
    codes: dict[str, set[str]], documented: dict[str, re.Match[str]]
) -> None:
    missing = {code: sorted(codes[code]) for code in sorted(codes.keys() - documented.keys())}
    assert missing == {}, "write these into docs/errors.md"


def test_no_code_is_documented_that_is_gone(
    codes: dict[str, set[str]], documented: dict[str, re.Match[str]]
) -> None:
    assert sorted(documented.keys() - codes.keys()) == []


def test_codes_are_found_in_every_way_that_they_are_given(codes: dict[str, set[str]]) -> None:
    """The collector itself: a keyword, a default, a parameter, a text with a hole, a table."""
    ways = {"weak-password", "stale-version", "pdf-scripted", "unknown-recipient", "code-taken"}
    ways |= {"unknown-document-type", "no-such-address", "http-error", "role-required"}
    assert ways <= codes.keys()


def test_codes_are_words_in_small_letters(codes: dict[str, set[str]]) -> None:
    assert [code for code in codes if not CODE.fullmatch(code)] == []


def test_codes_are_in_order_within_their_part(documented: dict[str, re.Match[str]]) -> None:
    parts = re.split(r"^## ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert parts
    for part in parts:
        listed = [m["code"] for m in map(LINE.fullmatch, part.splitlines()) if m]
        assert listed == sorted(listed), part.splitlines()[0]


def test_every_line_says_status_when_and_what_to_do(
    documented: dict[str, re.Match[str]],
) -> None:
    known = {str(status) for status in _STATUS.values()} | {"405", "4xx"}
    for code, line in documented.items():
        statuses = [part.strip() for part in line["status"].split(",")]
        assert set(statuses) <= known | {"start", "job", "command line"}, code
        assert line["when"].strip().endswith("."), code
        assert line["do"].strip().endswith("."), code


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_of_its_own_kind(kind: type[errors.DocflowError]) -> None:
    status = status_of(kind("what is wrong"))
    assert any(known in _STATUS for known in kind.__mro__), "no status for this error"
    assert 400 <= status <= 503


def test_the_documented_status_is_the_one_that_is_answered(
    collected: Codes, documented: dict[str, re.Match[str]]
) -> None:
    wrong = {}
    for code, line in documented.items():
        said = {part.strip() for part in line["status"].split(",")}
        numbers = {int(part) for part in said if part.isdigit()}
        answered = collected.statuses.get(code)
        if answered is None:
            continue  # given by the HTTP layer itself, with the status beside it
        elsewhere = said & {"start", "job", "command line"}  # it may never reach a caller
        if numbers - answered or (answered - numbers and not elsewhere):
            wrong[code] = f"documented {sorted(numbers)}, answered {sorted(answered)}"
    assert wrong == {}
