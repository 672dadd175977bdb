"""The house's rules that an import contract cannot say, read off the syntax tree.

Each rule takes a module and gives what breaks it, in words that name the right way. A rule sees what
is written, not what runs: it keeps honest code honest, and the locks in `db` and the tests over HTTP
do the rest.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "docflow"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Module:
    """One source file: its path below `src/docflow`, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> "Module":
        return cls(path, text, ast.parse(text))

    @property
    def room(self) -> str:
        return PurePosixPath(self.path).parts[0].removesuffix(".py")


@cache
def modules() -> tuple[Module, ...]:
    """Every module of docflow."""
    return tuple(
        Module.of(path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if "_bundled" not in path.parts
    )


def _calls(module: Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Give each call with what is called and on what: `sa.text(…)` is ("sa", "text")."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute):
            yield node, ast.unparse(node.func.value), node.func.attr
        elif isinstance(node.func, ast.Name):
            yield node, "", node.func.id


def small_files(module: Module) -> Iterator[str]:
    """A file has at most 400 lines."""
    lines = len(module.text.splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{lines} lines: split it by what it does (documents/ is cut by verb: create, fire, …)"


def small_functions(module: Module) -> Iterator[str]:
    """A function has at most 50 lines."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"line {node.lineno}: {node.name} has {lines} lines: give its steps names"


def explained(module: Module) -> Iterator[str]:
    """A module says what it is for and which rules hold in it."""
    if module.text.strip() and ast.get_docstring(module.tree) is None:
        yield "no docstring: say what the module is for, and its rules"


def one_committer(module: Module) -> Iterator[str]:
    """Only `db` opens, commits and rolls back transactions."""
    if module.room == "db":
        return
    for node, on, name in _calls(module):
        if name in {"commit", "rollback", "raw_connection"} or (
            name in {"begin", "connect"} and on.endswith("engine")
        ):
            yield (
                f"line {node.lineno}: {on}.{name}(): use `with database.unit_of_work(actor) as uow:` "
                "or `with database.read() as connection:`; they commit and roll back"
            )


def statements_only(module: Module) -> Iterator[str]:
    """Only `db` and the migrations hold SQL as text."""
    if module.room == "db":
        return
    for node, on, name in _calls(module):
        if name == "exec_driver_sql" or (name == "text" and on in {"", "sa", "sqlalchemy", "sql"}):
            yield f"line {node.lineno}: {name}(): write a Core statement (sa.select, sa.and_, …)"


def one_writer(module: Module) -> Iterator[str]:
    """Rows are written through the unit of work, which keeps the history.

    The job engine's records are no subjects of history; their room writes its own table itself.
    """
    if module.room == "db" or module.path == "jobs/records.py":
        return
    for node, on, name in _calls(module):
        if name in {"insert", "update", "delete"} and on in {"sa", "sqlalchemy"}:
            yield (
                f"line {node.lineno}: sa.{name}(): use UnitOfWork.create, change, put, alter or "
                "remove; they write the history entry or demand it"
            )


def http_at_the_door(module: Module) -> Iterator[str]:
    """HTTP's own exceptions are known where errors become problem documents, and nowhere else."""
    if module.path == "api/problems.py":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.alias):
            name = node.id if isinstance(node, ast.Name) else node.name
            if name == "HTTPException":
                yield (
                    f"line {node.lineno}: HTTPException: raise a DocflowError with a code; "
                    "api/problems.py turns it into a status and a problem document"
                )


def closed_states(module: Module) -> Iterator[str]:
    """A document's state is written when it is posted and when a transition is fired."""
    if module.path in {"documents/create.py", "documents/fire.py"}:
        return
    for node, _on, name in _calls(module):
        if name not in {"change", "create"} or not node.args:
            continue
        if ast.unparse(node.args[0]).split(".")[-1] != "documents":
            continue
        for written in (key for value in node.args[1:] for key in _keys(value)):
            if written == "state":
                yield (
                    f"line {node.lineno}: writes documents.{written}: call documents.fire.fire "
                    "(people and systems) or documents.fire.complete (jobs)"
                )
    for display in ast.walk(module.tree):
        if isinstance(display, ast.Dict) and "state_since" in _keys(display):
            yield f"line {display.lineno}: writes state_since: only documents/fire.py does"


def _keys(node: ast.expr) -> set[object]:
    """The constant keys of a dictionary display; of both sides where two are joined by `|`."""
    if isinstance(node, ast.BinOp):
        return _keys(node.left) | _keys(node.right)
    if isinstance(node, ast.Dict):
        return {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return set()


def injected_clock(module: Module) -> Iterator[str]:
    """Services are told what time it is. (The demo, a client, may look at its own clock.)"""
    if module.path == "kernel/clock.py" or module.path.startswith("cli/demo"):
        return
    for node, on, name in _calls(module):
        if (name in {"now", "utcnow", "today"}) and on.split(".")[-1] in {"datetime", "date"}:
            yield f"line {node.lineno}: {on}.{name}(): take `now` from kernel.clock.Clock"


def one_reader_of_the_environment(module: Module) -> Iterator[str]:
    """Settings are read once, in one place; handing the environment to a child is no reading."""
    if module.path == "settings.py":
        return
    for node in ast.walk(module.tree):
        text = ast.unparse(node) if isinstance(node, ast.Subscript | ast.Call) else ""
        if text.startswith(("os.environ[", "os.environ.get(", "os.getenv(", "environ[", "getenv(")):
            line = getattr(node, "lineno", 0)
            yield f"line {line}: {text}: add a field to docflow.settings.Settings"


def plain_functions(module: Module) -> Iterator[str]:
    """Services are plain functions; only the HTTP door and the signing library's edge are async."""
    if module.room in {"api", "signing"}:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef):
            yield f"line {node.lineno}: async def {node.name}: write a plain `def`; threads call it"


def stable_codes(module: Module) -> Iterator[str]:
    """Error codes are kebab-case: programs compare them."""
    for node in ast.walk(module.tree):
        named, value = "", None
        if isinstance(node, ast.keyword):
            named, value = node.arg or "", node.value
        elif isinstance(node, ast.AnnAssign):
            named, value = ast.unparse(node.target), node.value
        elif isinstance(node, ast.Assign):
            named, value = ast.unparse(node.targets[0]), node.value
        if named not in {"code", "default_code"} or not isinstance(value, ast.Constant):
            continue
        if isinstance(value.value, str) and not _KEBAB.fullmatch(value.value):
            yield f"line {value.lineno}: code {value.value!r}: write words-with-hyphens"


Rule = Callable[[Module], Iterator[str]]

RULES: tuple[Rule, ...] = (
    small_files,
    small_functions,
    explained,
    one_committer,
    statements_only,
    one_writer,
    http_at_the_door,
    closed_states,
    injected_clock,
    one_reader_of_the_environment,
    plain_functions,
    stable_codes,
)
