"""How the command line speaks: errors to stderr, tables that fit a terminal, quiet logs.

Rule: nothing that a person may have to copy is shortened or broken, an id least of all. On a terminal (or
where COLUMNS is set) sentences are wrapped between words; in a pipe nothing is wrapped.
"""

import json
import logging
import os
import sys
import warnings
from typing import Any, Final, NoReturn

import structlog
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from docflow.kernel.errors import DevelopmentModeWarning
from docflow.kernel.text import shown


class SafeConsole(Console):
    """A console that shows control and direction characters instead of obeying them.

    Line ends pass, as our own texts have them: escape those in a stranger's text with `shown` before.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return `text` as rich shows it, escaped."""
        return super().render_str(shown(text, keep="\n"), **options)


UNWRAPPED: Final = not (sys.stdout.isatty() or "COLUMNS" in os.environ)
"""Whether the output goes into a pipe, which has no width."""
CONSOLE = SafeConsole(highlight=False, soft_wrap=UNWRAPPED)
_NO_LIMIT = 1_000_000
_STDERR = SafeConsole(
    stderr=True, highlight=False, soft_wrap=True
)  # a log keeps a sentence in one line
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def fail(message: str) -> NoReturn:
    """Print an error and end with status 1."""
    _STDERR.print(f"[bold red]docflow:[/] {_escaped(message)}")
    sys.exit(1)


def show_table(table: Table, *, markup: bool = True) -> None:
    """Print a table; only columns of sentences are wrapped, and wider than the terminal if need be."""
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = not any(" " in str(cell) for cell in column.cells)
    needs = Measurement.get(CONSOLE, CONSOLE.options.update(max_width=_NO_LIMIT), table)
    width = needs.maximum if UNWRAPPED else max(CONSOLE.width, needs.minimum)
    # a console of its own: none prints anything wider than itself
    console = SafeConsole(file=CONSOLE.file, width=width, highlight=False)
    if not UNWRAPPED:
        console.print(table, markup=markup)
        return
    with console.capture() as captured:
        console.print(table, markup=markup)
    for line in captured.get().splitlines():  # rich fills each line up to the longest
        CONSOLE.file.write(line.rstrip() + "\n")


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def json_text(value: Any) -> str:
    """Return `value` as JSON that a terminal shows and does not obey."""
    return "".join(_in_json(char) for char in json.dumps(value, ensure_ascii=False, indent=2))


def _in_json(char: str) -> str:
    # such a character stands in JSON's strings alone, where its escape means the same
    return char if char == "\n" or shown(char) == char else json.dumps(char)[1:-1]


def warn(message: str) -> None:
    """Print a warning."""
    _STDERR.print(f"[yellow]warning:[/] {_escaped(message)}")


def announce_development() -> None:
    """Show each insecure stand-in once, as one line, instead of Python's own warning format."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, DevelopmentModeWarning):
            _STDERR.print(f"[bold yellow]DEVELOPMENT ONLY:[/] {_escaped(str(message))}")
        else:
            warn(str(message))

    warnings.showwarning = show


def log_to_stderr(level: str) -> None:
    """Write logs as JSON lines to stderr: docflow's own, and what libraries log."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for noisy in (
        "alembic",
        "dbos",
        "transitions",
        "uvicorn.access",
        "fontTools",
        "httpcore2",
        "httpx2",
        "pikepdf._core",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
