import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.recipe import ROOT

SCRIPTS = ("run", "venv", "install", "debian")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


class Bare:
    """A machine that has a shell and what a test gives it, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        shutil.copytree(ROOT / ".ci", folder / "checkout" / ".ci")
        self.checkout = folder / "checkout"
        for needed in ("bash", "dirname", "env"):
            found = shutil.which(needed)
            assert found is not None
            (self.programs / needed).symlink_to(found)

    def has(self, program: str, *lines: str) -> None:
        path = self.programs / program
        path.write_text("\n".join(["#!/usr/bin/env bash", *lines]) + "\n", encoding="utf-8")
        path.chmod(0o755)

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / ".ci" / script, *words],
            env={"PATH": str(self.programs)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def test_make_tells_every_command_that_it_has() -> None:
    told = subprocess.run(
        ["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True
    ).stdout
    listed = set(re.findall(r"^  make ([a-z-]+) ", told, re.MULTILINE))
    assert {"demo", "run", "test", "check", "openapi", "bench"} <= listed
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE))
    assert targets - {"debian-tools"} == listed


def test_ci_runs_the_test_command_that_the_readme_names_and_every_check() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ran = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.search(r"## Test it\n\n```sh\n(.+)\n```", readme)
    assert command is not None
    assert re.search(rf"^{re.escape(command.group(1))}\b", ran, re.MULTILINE)
    assert re.search(r"^make .*\bcheck\b", ran, re.MULTILINE)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_run_and_stop_at_the_first_error(script: str) -> None:
    path = ROOT / ".ci" / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)


def test_a_python_that_is_too_old_is_told_with_what_to_do(bare: Bare) -> None:
    bare.has("python3", '[ "$1" = --version ] && echo "Python 3.9.2" || exit 1')
    result = bare.run("venv")
    assert result.returncode == 1
    assert "needs Python 3.11 or newer: Python 3.9.2 is too old" in result.stderr
    assert "PYTHON=" in result.stderr


def test_a_missing_python_is_told(bare: Bare) -> None:
    result = bare.run("venv")
    assert result.returncode == 1
    assert "there is no python3" in result.stderr


def test_debian_packages_are_named_where_they_may_not_be_installed(bare: Bare) -> None:
    bare.has("id", "echo 1000")
    bare.has("apt-get", "exit 1")
    result = bare.run(
        "debian", "qpdf:qpdf", "pdfsig:poppler-utils", "bash:bash", "/no/such.jar:libsome-java"
    )
    assert result.returncode == 1
    assert "sudo apt-get install qpdf poppler-utils libsome-java\n" in result.stderr


def test_what_is_there_already_is_not_installed(bare: Bare) -> None:
    bare.has("apt-get", "echo called")
    result = bare.run("debian", "bash:bash", "env:coreutils")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = bare.run("debian", f"{bare.checkout}:a-package")  # a file that is there
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_only_what_is_missing_is_installed_with_fresh_lists_where_needed(bare: Bare) -> None:
    log = bare.checkout / "apt.log"
    bare.has("id", "echo 0")
    bare.has("mktemp", f"echo {bare.checkout}/out")
    bare.has("rm", "exit 0")
    bare.has(
        "apt-get",
        f'echo "$*" >> {log}',
        f'case "$*" in *update*) : > {bare.checkout}/fresh;; esac',
        f"[ -e {bare.checkout}/fresh ]",
    )
    result = bare.run("debian", "bash:bash", "qpdf:qpdf", "+python3.11-venv")
    assert result.returncode == 0, result.stderr
    calls = [re.sub(r"^.*?(install|update)", r"\1", call) for call in log.read_text().splitlines()]
    install = "install -y --no-install-recommends qpdf python3.11-venv"
    assert calls == [install, "update", install]


def test_a_refusal_of_the_package_manager_is_shown(bare: Bare) -> None:
    bare.has("id", "echo 0")
    bare.has("mktemp", f"echo {bare.checkout}/out")
    bare.has("rm", "exit 0")
    bare.has("cat", 'while read -r line; do echo "$line"; done < "$1"')
    bare.has("apt-get", "echo 'E: no such package'", "exit 100")
    result = bare.run("debian", "qpdf:qpdf")
    assert result.returncode == 1
    assert "E: no such package" in result.stderr
    assert "could not install qpdf" in result.stderr
