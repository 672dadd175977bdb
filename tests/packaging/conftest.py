import fcntl
import os
from pathlib import Path

import pytest

from tests.packaging.recipe import play_builder


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile's builder makes, in a folder; made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    root = base / "image"
    with (base / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "image.made").exists():
            root.mkdir()
            play_builder(root)
            (base / "image.made").touch()
    return root


@pytest.fixture(scope="session")
def wheel(image: Path) -> Path:
    (path,) = (image / "dist").glob("*.whl")
    return path
