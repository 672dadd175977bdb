"""`docflow workflow check`, `show` and `schema`, as an operator runs them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from docflow.cli.workflow import app
from docflow.kernel.resources import bundled
from docflow.workflow.schema import json_schema_text

RUN = CliRunner()
FOLDER = bundled("workflows")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    text = (FOLDER / "outgoing.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("by: leader", "by: leeder"), encoding="utf-8")
    return path


class TestCheck:
    def test_sound_files_are_told_so(self) -> None:
        result = RUN.invoke(app, ["check", str(FOLDER)])
        assert result.exit_code == 0
        assert "incoming version 1: 7 states, 9 transitions, sound" in result.stdout
        assert "outgoing version 2: 7 states, 7 transitions, sound" in result.stdout

    def test_a_problem_is_told_with_file_and_line_and_fails(self, broken: Path) -> None:
        result = RUN.invoke(app, ["check", str(FOLDER / "incoming.yaml"), str(broken)])
        assert result.exit_code == 1
        lines = broken.read_text(encoding="utf-8").splitlines()
        line = lines.index("    by: leeder") + 1
        assert (
            f"{broken}:{line}: transitions.sign.by: 'leeder' is no role; did you mean 'leader'?"
            in (result.stdout)
        )
        assert "incoming version 1" in result.stdout

    def test_an_offending_path_is_printed(self, tmp_path: Path) -> None:
        path = tmp_path / "unsealed.yaml"
        text = (FOLDER / "outgoing.yaml").read_text(encoding="utf-8")
        path.write_text(text.replace("    sign: {as: organisation}\n", ""), encoding="utf-8")
        result = RUN.invoke(app, ["check", str(path)])
        assert result.exit_code == 1
        assert (
            "delivers without the organisation's seal: draft -submit-> review -approve-> approved "
            "-sign-> signed -release-> released"
        ) in result.stdout

    def test_an_empty_folder_fails(self, tmp_path: Path) -> None:
        assert RUN.invoke(app, ["check", str(tmp_path)]).exit_code == 1


class TestShow:
    def test_mermaid_is_printed(self) -> None:
        result = RUN.invoke(app, ["show", str(FOLDER / "outgoing.yaml")])
        assert result.exit_code == 0
        assert result.stdout.startswith("stateDiagram-v2\n")

    def test_a_picture_is_written(self, tmp_path: Path) -> None:
        target = tmp_path / "picture.svg"
        result = RUN.invoke(
            app,
            [
                "show",
                str(FOLDER / "outgoing.yaml"),
                "--format",
                "svg",
                "-o",
                str(target),
                "-l",
                "vi",
            ],
        )
        assert result.exit_code == 0
        assert "Văn bản đi" in target.read_text(encoding="utf-8")

    def test_a_broken_file_is_told_and_not_drawn(self, broken: Path) -> None:
        result = RUN.invoke(app, ["show", str(broken)])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "'leeder' is no role" in result.stderr

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        target = tmp_path / "none" / "picture.svg"
        result = RUN.invoke(app, ["show", str(FOLDER / "outgoing.yaml"), "-o", str(target)])
        assert result.exit_code == 1
        assert "cannot be written" in result.stderr


def test_the_schema_is_printed() -> None:
    assert RUN.invoke(app, ["schema"]).stdout == json_schema_text()
