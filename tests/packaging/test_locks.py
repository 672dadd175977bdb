import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.recipe import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
NAME = re.compile(r"^[A-Za-z0-9._-]+")


def pins(path: Path) -> dict[str, str]:
    return dict(PINNED.findall(path.read_text(encoding="utf-8")))


def names(requirements: list[Any]) -> set[str]:
    found = (NAME.match(r) for r in requirements if isinstance(r, str))
    return {re.sub(r"[._-]+", "-", match.group()).lower() for match in found if match}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_locks_are_there() -> None:
    assert [path.stem for path in LOCKS] == ["bootstrap", "build", "dev", "runtime"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_line_is_a_pin_or_a_hash_and_names_no_host(path: Path) -> None:
    wrong = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if not PINNED.match(line)
        and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_hashes(path: Path) -> None:
    blocks = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip())
    assert len(blocks) == len(pins(path))
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_runtime_and_build_versions_are_the_same_in_development() -> None:
    development = pins(ROOT / "requirements" / "dev.txt")
    for path in LOCKS:
        assert pins(path).items() <= development.items(), path.stem


def test_the_locks_hold_all_that_the_project_asks_for(project: dict[str, Any]) -> None:
    folder = ROOT / "requirements"
    groups = project["dependency-groups"]
    assert names(project["project"]["dependencies"]) <= pins(folder / "runtime.txt").keys()
    assert names(project["build-system"]["requires"]) <= pins(folder / "build.txt").keys()
    assert names(groups["build"]) <= pins(folder / "build.txt").keys()
    assert names(groups["bootstrap"]) == pins(folder / "bootstrap.txt").keys()
    assert names(groups["dev"]) <= pins(folder / "dev.txt").keys()
