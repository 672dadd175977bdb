"""How the command line speaks: errors to stderr, tables that fit a terminal, quiet logs."""

import json
import logging
import sys
import warnings
from typing import Any, NoReturn

import structlog
from rich.console import Console
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


CONSOLE = SafeConsole(highlight=False)
_STDERR = SafeConsole(
    stderr=True, highlight=False, soft_wrap=True
)  # a log keeps a sentence in one line
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def fail(message: str) -> NoReturn:
    """Print an error and end with status 1."""
    _STDERR.print(f"[bold red]docflow:[/] {_escaped(message)}")
    sys.exit(1)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def json_text(value: Any) -> str:
    """Return `value` as JSON that a terminal shows and does not obey."""
    return "".join(_in_json(char) for char in json.dumps(value, ensure_ascii=False, indent=2))


def _in_json(char: str) -> str:
    # such a character stands in JSON's strings alone, where its escape means the same
    return char if char == "\n" or shown(char) == char else json.dumps(char)[1:-1]


def announce_development() -> None:
    """Show each insecure stand-in once, as one line, instead of Python's own warning format."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, DevelopmentModeWarning):
            _STDERR.print(f"[bold yellow]DEVELOPMENT ONLY:[/] {_escaped(str(message))}")
        else:
            _STDERR.print(f"[yellow]warning:[/] {_escaped(str(message))}")

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
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
