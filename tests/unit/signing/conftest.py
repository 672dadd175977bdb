"""Fixtures of the signing room: cut fonts, made once for the run."""

from pathlib import Path

import pytest

from docflow.signing.font import Fonts, ensure_fonts
from tests.unit.signing.forge import Forge


@pytest.fixture(scope="session")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Fonts:
    return ensure_fonts(tmp_path_factory.mktemp("fonts"))


@pytest.fixture(scope="session")
def forge() -> Forge:
    return Forge()


@pytest.fixture
def signer_file(tmp_path: Path) -> Path:
    return tmp_path / "signer.p12"
