"""Whom `docflow verify` trusts: what the instance does, or what it is told to; never silently nobody."""

import shutil
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from docflow.cli.main import app
from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from tests.pki_support import LivePki
from tests.unit.signing.forge import Forge
from tests.verification_support import Maker, written

run = CliRunner()
AT = ["--at", "2026-03-02T01:30:00Z"]


@pytest.fixture
def signed(pki: LivePki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCFLOW_DATA_DIR", str(tmp_path / "var"))
    return written(tmp_path, "a.pdf", Maker(pki).pdf("B-T"))


@pytest.mark.parametrize("under", ["roots", "trust"])
def test_the_roots_of_the_signers_file_count_and_its_keys_are_not_opened(
    under: str, signed: Path, pki: LivePki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(pki.pem("root"), tmp_path / "ca.pem")
    (tmp_path / "own.pem").write_text(Forge().roots.to_pem())
    named = {"roots": "own.pem", "trust": "own.pem"} | {under: "ca.pem"}
    signers = tmp_path / "signers.yaml"
    signers.write_text(
        f"roots: [{named['roots']}]\ntrust: [{named['trust']}]\n"
        "seal: {pkcs12: gone.p12, passphrase_file: gone}\n"
    )
    monkeypatch.setenv("DOCFLOW_SIGNERS_FILE", str(signers))
    assert run.invoke(app, ["verify", str(signed), *AT]).exit_code == 0
    only = tmp_path / "other.pem"
    only.write_text(Forge().roots.to_pem())
    assert run.invoke(app, ["verify", str(signed), *AT, "--trust", str(only)]).exit_code == 1


def test_the_throw_away_pki_of_the_data_folder_counts_and_is_announced(
    signed: Path, pki: LivePki, tmp_path: Path
) -> None:
    (tmp_path / "var" / "pki").mkdir(parents=True)
    shutil.copy(pki.pem("root"), tmp_path / "var" / "pki" / "root.pem")
    with warnings.catch_warnings():
        warnings.simplefilter("always", DevelopmentModeWarning)
        shown = run.invoke(app, ["verify", str(signed), *AT])
    assert shown.exit_code == 0, shown.output
    assert "DEVELOPMENT ONLY: trusting the throw-away PKI" in shown.stderr


@pytest.mark.parametrize("name", ["root.cer", "root.der", "root.CRT", "root.pem"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_certificate_counts_in_either_encoding_whatever_its_name(
    name: str, encoding: Encoding, signed: Path, pki: LivePki, tmp_path: Path
) -> None:
    folder = tmp_path / "trust"
    folder.mkdir()
    (folder / name).write_bytes(pki.certificate("root").public_bytes(encoding))
    for trust in (folder, folder / name):
        shown = run.invoke(app, ["verify", str(signed), *AT, "--trust", str(trust)])
        assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("by", ["option", "setting"])
def test_a_folder_without_any_anchor_is_refused(
    by: str, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "trust"
    folder.mkdir()
    (folder / "README").write_text("no anchor")
    given = ["--trust", str(folder)] if by == "option" else []
    if by == "setting":
        monkeypatch.setenv("DOCFLOW_TRUST_DIR", str(folder))
    refused = run.invoke(app, ["verify", str(signed), *AT, *given])
    assert isinstance(refused.exception, ConfigurationError)
    assert "holds none" in str(refused.exception)
