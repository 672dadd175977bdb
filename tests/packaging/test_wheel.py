import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.packaging.recipe import ROOT, below, stages

pytestmark = pytest.mark.slow

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


def let_modes_count() -> None:
    """Take from root, in the child that is about to run, the power to write what is read-only."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


class Container:
    """The image's environment over a read-only installation and one writable folder."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.empty = folder / "empty"
        self.empty.mkdir()
        self.volume = folder / "volume"
        self.volume.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            name: below(image, value).replace(f"{image}/var/lib/docflow", str(self.volume))
            for name, value in stages()[-1].environment.items()
        } | {
            "HOME": "/nonexistent",
            "DOCFLOW_HOST": "127.0.0.1",
            "DOCFLOW_PORT": str(self.port),
        }

    def start(self, *command: str) -> "subprocess.Popen[str]":
        program = self.image / "opt/docflow/bin" / command[0]
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.empty,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=let_modes_count,  # noqa: PLW1509 - this process starts no threads
        )

    def run(self, *command: str) -> str:
        with self.start(*command) as process:
            output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{command}: {output}"
        return output

    def is_healthy(self) -> bool:
        """Run the image's own health check."""
        (check,) = stages()[-1].all("HEALTHCHECK")
        with self.start(*json.loads(check[check.index("CMD ") + 4 :])) as process:
            process.communicate(timeout=30)
        return process.returncode == 0

    @contextlib.contextmanager
    def serving(self) -> Iterator["subprocess.Popen[str]"]:
        with self.start("docflow", "serve") as process:
            try:
                deadline = time.monotonic() + 90
                while not self.is_healthy():
                    if process.poll() is not None or time.monotonic() > deadline:
                        process.kill()
                        pytest.fail(f"does not serve: {process.communicate()[0]}")
                yield process
            finally:
                process.kill()


@pytest.fixture
def container(image: Path, tmp_path: Path) -> Container:
    return Container(image, tmp_path)


@pytest.fixture
def read_only(image: Path) -> Iterator[Path]:
    """The installation with every writing bit taken away."""
    folder = image / "opt/docflow"
    paths = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield folder
    for path, mode in modes.items():
        path.chmod(mode)


def snapshot(folder: Path) -> Mapping[str, tuple[int, int]]:
    found = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


def test_the_wheel_carries_all_that_is_needed_at_run_time(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    bundled = {
        f"docflow/_bundled/{path.relative_to(ROOT).as_posix()}"
        for folder in ("migrations", "workflows")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "docflow/_bundled/workflows/incoming.yaml",
        "docflow/_bundled/migrations/env.py",
    } <= bundled
    assert bundled <= inside
    code = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "docflow").rglob("*.py")
        if "_bundled" not in path.parts
    }
    assert code <= inside
    assert {"docflow/data/office.yaml", "docflow/py.typed"} <= inside
    fonts = {name for name in inside if name.startswith("docflow/_bundled/fonts/")}
    assert {name.rsplit(".", 1)[1] for name in fonts} == {"ttf", "txt"}  # the faces, their licence


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    assert len(inside) == len(set(inside))
    tops = {name.split("/")[0] for name in inside}
    assert {top.split("-")[0] for top in tops} == {"docflow"}
    assert [n for n in inside if "__pycache__" in n or "/tests/" in n or n.endswith(".pyc")] == []


def test_the_wheel_says_its_licence_and_its_version(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        (licence,) = (n for n in archive.namelist() if n.endswith("/licenses/LICENSE"))
        words = archive.read(metadata).decode()
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Version: {project['version']}\n" in words
    assert "License-Expression: Apache-2.0\n" in words


def test_the_locked_environment_satisfies_the_wheel(image: Path) -> None:
    uv, python = image / "opt/build/bin/uv", image / "opt/docflow/bin/python"
    result = subprocess.run(
        [uv, "pip", "check", "--python", python], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_it_runs_from_a_read_only_installation_and_writes_only_to_its_volume(
    container: Container, read_only: Path
) -> None:
    before = snapshot(read_only)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert container.run("docflow", "--version").strip() == f"docflow {project['version']}"
    where = container.run(
        "python", "-c", "from docflow.kernel.resources import bundled; print(bundled('workflows'))"
    ).strip()
    assert Path(where).is_relative_to(read_only)
    assert container.run("docflow", "workflow", "check", where).count("sound") == 2

    container.run("docflow", "init")
    container.run("docflow", "migrate")
    assert not container.is_healthy()
    with container.serving() as process:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{container.port}/readyz", timeout=30
        ) as answer:
            assert json.load(answer)["status"] == "ready"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output

    assert snapshot(read_only) == before
    assert list(container.empty.iterdir()) == []
    assert {"docflow.sqlite3", "store"} <= {path.name for path in container.volume.iterdir()}


def test_an_empty_instance_is_not_served_and_says_what_to_run(container: Container) -> None:
    with container.start("docflow", "serve") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "run `docflow migrate`" in output


def test_a_taken_port_is_told(container: Container) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", container.port))
        other.listen()
        with container.start("docflow", "serve") as process:
            output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"Port {container.port} on 127.0.0.1 is taken" in output
