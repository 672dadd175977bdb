import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.rules import ROOT, SOURCE

CHECK = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}


def rooms_of(contract: dict[str, Any]) -> list[set[str]]:
    return [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_only_go_down() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_import_that_goes_up_is_caught(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for path in SOURCE.rglob("*.py"):
        copy = tmp_path / "src" / "docflow" / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    low = tmp_path / "src" / "docflow" / "documents" / "desk.py"
    low.write_text(low.read_text(encoding="utf-8") + "\nimport docflow.release.sign\n", "utf-8")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert "docflow.documents.desk -> docflow.release.sign" in result.stdout


def test_every_room_stands_on_a_floor(contracts: dict[str, dict[str, Any]]) -> None:
    on_floors = set().union(*rooms_of(contracts["floors"]))
    code = {path.parent.name for path in SOURCE.glob("*/*.py")}
    code |= {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert code - {"data"} == on_floors


@pytest.mark.parametrize(
    ("contract", "home"),
    [
        ("engine-of-jobs", "jobs"),
        ("engine-of-signatures", "signing"),
        ("engine-of-workflows", "workflow"),
    ],
)
def test_an_engine_is_forbidden_in_every_room_but_its_own(
    contracts: dict[str, dict[str, Any]], contract: str, home: str
) -> None:
    everywhere = set().union(*rooms_of(contracts["floors"]))
    forbidden = {name.removeprefix("docflow.") for name in contracts[contract]["source_modules"]}
    assert forbidden == everywhere - {home}
