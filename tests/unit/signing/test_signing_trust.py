from pathlib import Path

import pytest

from docflow.kernel.errors import ConfigurationError
from docflow.signing.trust import TrustRoots
from tests.unit.signing.forge import Forge


def test_roots_are_read_from_files_and_survive_text(forge: Forge, tmp_path: Path) -> None:
    other = Forge()
    (tmp_path / "a.pem").write_text((forge.roots + other.roots).to_pem())
    roots = TrustRoots.from_files([tmp_path / "a.pem"])
    assert roots.certificates == (forge.root.certificate, other.root.certificate)
    assert TrustRoots.from_pem(roots.to_pem()) == roots
    assert TrustRoots.from_pem("") == TrustRoots(())


def test_a_union_holds_each_root_once(forge: Forge) -> None:
    assert forge.roots + forge.roots == forge.roots
    assert len((forge.roots + Forge().roots).fingerprints) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no-such\.pem"):
        TrustRoots.from_files([tmp_path / "no-such.pem"])


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_without_certificates_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"root\.pem"):
        TrustRoots.from_files([tmp_path / "root.pem"])
