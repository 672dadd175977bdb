"""Tables of the command line: what a person has to copy stays whole."""

import subprocess
import sys
from pathlib import Path

import pytest

_ID = "sign-01a218de-a0f2-7cc4-9d53-6f0c2b1c77aa-12"
_ERROR = "The page 9 is not there; the file has 2 pages, and the number goes on one of them."
_TABLE = f"""
from rich.table import Table
from docflow.cli.output import show_table
table = Table("job", "state", "changed", "error", box=None)
table.add_row({_ID!r}, "failed", "2026-11-26 17:00:00", {_ERROR!r})
show_table(table)
"""
_JOB = f"""
from datetime import UTC, datetime
from types import SimpleNamespace
from docflow.cli.jobs import _show
at = datetime(2026, 11, 26, 17, tzinfo=UTC)
_show(SimpleNamespace(
    id={_ID!r}, state="failed", step="staged", attempts=1, updated_at=at, error={_ERROR!r}
))
"""


_LOG = """
import logging
from docflow.cli.output import log_to_stderr
log_to_stderr("info")
import pikepdf
logging.getLogger("docflow").info("of docflow")
"""


def printed(program: str, columns: int | None) -> list[str]:
    environment = {} if columns is None else {"COLUMNS": str(columns)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60,
        env=environment | {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_keeps_an_id_whole_at_any_width(columns: int) -> None:
    lines = printed(_TABLE, columns)
    assert sum(_ID in line for line in lines) == 1
    assert "…" not in "".join(lines)


def test_a_table_in_a_pipe_has_one_whole_line_for_each_row() -> None:
    _, row = printed(_TABLE, None)
    assert _ID in row
    assert _ERROR in row


def test_a_table_in_a_pipe_has_no_blanks_at_the_ends_of_its_lines() -> None:
    lines = printed(_TABLE, None)
    assert lines == [line.rstrip() for line in lines]


def test_a_job_has_its_id_on_a_line_of_its_own_and_its_error_in_full_lines() -> None:
    first, _, *error = printed(_JOB, 80)
    assert first == _ID
    assert " ".join(line.strip() for line in error) == _ERROR
    assert len(error) == 2


@pytest.mark.parametrize(
    ("attempts", "told"),
    [(0, "failed at staged, 2026"), (1, "staged, 1 failed try, 2026"), (2, "2 failed tries")],
)
def test_a_job_tells_of_tries_only_where_some_failed(attempts: int, told: str) -> None:
    _, line, *_ = printed(_JOB.replace("attempts=1", f"attempts={attempts}"), 80)
    assert told in line


def test_what_a_library_says_of_itself_when_it_is_loaded_is_not_logged() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOG], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = done.stderr.splitlines()
    assert "of docflow" in line


def test_the_demo_plays_in_the_data_folder_of_the_environment(tmp_path: Path) -> None:
    environment = {"DOCFLOW_DATA_DIR": str(tmp_path / "elsewhere"), "PATH": "/usr/bin:/bin"}
    (tmp_path / "elsewhere").write_text("no folder")  # so that the demo ends where it begins
    done = subprocess.run(
        [sys.executable, "-m", "docflow", "demo"], capture_output=True, text=True, check=False,
        timeout=60, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "elsewhere" in done.stderr
    assert not (tmp_path / "var").exists()
