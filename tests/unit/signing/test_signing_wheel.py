"""The wheel carries what docflow needs at run time, and docflow takes it from there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(made)


def test_it_carries_migrations_workflows_and_fonts(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    bundled = {name.removeprefix("docflow/_bundled/") for name in names if "_bundled/" in name}
    assert {
        "fonts/NotoSans-subset.ttf",
        "fonts/NotoSans-Bold-subset.ttf",
        "fonts/NotoSans-Italic-subset.ttf",
        "fonts/NOTICE.txt",
    } <= bundled
    for folder in ("migrations", "workflows"):
        ours = {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*.*") if p.is_file()}
        ours = {name for name in ours if "__pycache__" not in name}
        assert ours
        assert ours <= bundled
    assert not any("__pycache__" in name for name in names)


def test_the_fonts_are_taken_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from pathlib import Path; from docflow.signing.font import ensure_fonts;"
        "print(ensure_fonts(Path('never-made')).regular)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == (
        tmp_path / "site/docflow/_bundled/fonts/NotoSans-subset.ttf"
    )
    assert not (tmp_path / "never-made").exists()


def test_an_editable_install_carries_nothing(tmp_path: Path) -> None:
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    assert not any("_bundled/" in name for name in zipfile.ZipFile(made).namelist())
