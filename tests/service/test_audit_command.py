"""`docflow audit verify`, `docflow audit key` and `docflow verify`, as someone types them."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from docflow.cli.main import main
from docflow.db.tables import log_checkpoints
from docflow.documents.tables import documents
from tests.audit_support import outlaw
from tests.office_support import AUDITOR, Instance


class Typed:
    """Types a command, and keeps what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._said = capsys

    def __call__(self, *words: object, stdin: str = "") -> tuple[int, str, str]:
        """Return the exit code, and what went to standard output and error."""
        self._patch.setattr(sys, "argv", ["docflow", *map(str, words)])
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        out, err = self._said.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else int(code is not None)), out, err


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(monkeypatch, capsys)


@pytest.fixture
def office(instance: Instance) -> Instance:
    instance.incoming()
    instance.services.sequencer.run()
    return instance


class TestAuditVerify:
    def test_it_says_that_everything_holds(self, office: Instance, typed: Typed) -> None:
        code, out, _ = typed("audit", "verify", "--data-dir", office.folder, "--contents")
        assert code == 0
        assert "Everything holds." in out
        assert "entries" in out

    def test_it_says_what_does_not_and_ends_with_1(self, office: Instance, typed: Typed) -> None:
        with outlaw(office.database) as connection:
            connection.execute(sa.update(documents).values(state="closed"))
        document = office.rows("documents")[0]["id"]
        code, out, _ = typed("audit", "verify", "--data-dir", office.folder)
        assert code == 1
        assert f"The document {document} has the state 'closed'; history says 'received'." in out
        code, out, _ = typed("audit", "verify", "--data-dir", office.folder, "--json")
        report = json.loads(out)
        assert code == 1
        assert (report["ok"], report["found"]) == (False, {"subject-row": 1})
        assert report["findings"][0]["subject"] == f"document {document}"

    def test_an_auditor_brings_key_and_checkpoint(
        self, office: Instance, typed: Typed, tmp_path: Path
    ) -> None:
        data = ("--data-dir", office.folder)
        key, kept = tmp_path / "log.vkey", tmp_path / "kept"
        _, vkey, _ = typed("audit", "key", *data)
        key.write_text(vkey)
        kept.write_text(office.rows("log_checkpoints")[0]["note"])
        with_both = ("--key-file", key, "--checkpoint", kept)
        assert typed("audit", "verify", *data, *with_both)[0] == 0
        with outlaw(office.database) as connection:
            connection.execute(sa.delete(log_checkpoints))
        assert typed("audit", "verify", *data, *with_both)[0] == 1
        other = "log.example/x+c549309a+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
        code, _, err = typed("audit", "verify", *data, "--key", other)
        assert (code, "does not fit its bytes" in err) == (1, True)

    def test_it_makes_no_key(self, office: Instance, typed: Typed) -> None:
        (office.folder / "log.key").unlink()
        code, _, err = typed("audit", "verify", "--data-dir", office.folder)
        assert code == 1
        assert "cannot be read" in " ".join(err.split())
        assert not (office.folder / "log.key").exists()

    def test_a_missing_checkpoint_file_is_told(self, office: Instance, typed: Typed) -> None:
        code, _, err = typed(
            "audit", "verify", "--data-dir", office.folder, "--checkpoint", "nowhere"
        )
        assert (code, "nowhere cannot be read" in err) == (1, True)


class TestAuditKey:
    def test_it_shows_the_public_key_only(self, office: Instance, typed: Typed) -> None:
        code, out, _ = typed("audit", "key", "--data-dir", office.folder)
        assert code == 0
        assert out == f"{office.services.log_key.verifier}\n"

    def test_it_makes_one_for_production(self, tmp_path: Path, typed: Typed) -> None:
        path = tmp_path / "production.key"
        code, out, _ = typed("audit", "key", "--create", path)
        assert code == 0
        assert out.startswith("docflow.invalid/history+")
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().startswith("PRIVATE+KEY+")
        code, _, err = typed("audit", "key", "--create", path)
        assert (code, "is there already" in err) == (1, True)


class TestVerify:
    @pytest.fixture
    def proof(self, office: Instance, tmp_path: Path) -> Path:
        entry = office.rows("history_entries", action="document.posted")[0]
        path = tmp_path / "posted.tlog-proof"
        text = office.services.proofs.proof(office.actor(AUDITOR), entry["id"]).text
        path.write_text(text, "utf-8")
        return path

    def key(self, office: Instance) -> tuple[str, str]:
        return "--key", str(office.services.log_key.verifier)

    def test_it_needs_nothing_but_proof_and_key(
        self, office: Instance, typed: Typed, proof: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCFLOW_DATABASE_URL", "nonsense that must not be read")
        code, out, _ = typed("verify", proof, *self.key(office))
        assert code == 0
        assert "The entry is in the log." in out
        assert "document.posted" in out
        assert typed("verify", "-", *self.key(office), stdin=proof.read_text("utf-8"))[0] == 0

    def test_it_tells_it_as_json(self, office: Instance, typed: Typed, proof: Path) -> None:
        _, out, _ = typed("verify", proof, *self.key(office), "--json")
        told: dict[str, Any] = json.loads(out)
        assert (told["ok"], told["action"]) == (True, "document.posted")
        assert told["signed by"] == [told["log"]]

    @pytest.mark.parametrize(
        ("old", "new", "step"),
        [
            ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", "format"),
            ("docflow.invalid/history\n", "docflow.invalid/other\n", "checkpoint"),
            ("index ", "index 1", "inclusion"),
            ("extra e", "extra f", "leaf"),
        ],
    )
    def test_it_names_the_step_that_fails(
        self, office: Instance, typed: Typed, proof: Path, old: str, new: str, step: str
    ) -> None:
        text = proof.read_text("utf-8")
        assert old in text
        proof.write_text(text.replace(old, new, 1), "utf-8")
        code, out, _ = typed("verify", proof, *self.key(office), "--json")
        assert code == 1
        assert json.loads(out)["step"] == step
        code, out, err = typed("verify", proof, *self.key(office))
        assert (code, out) == (1, "")
        assert err.startswith("docflow: ")

    def test_wrong_usage_is_told(self, office: Instance, typed: Typed, proof: Path) -> None:
        assert typed("verify", proof)[0] == 2
        vkey = proof.with_name("key")
        vkey.write_text(str(office.services.log_key.verifier))
        assert typed("verify", proof, "--key-file", vkey)[0] == 0
        assert typed("verify", proof, *self.key(office), "--key-file", vkey)[0] == 2
        assert typed("verify", proof, "--key", "nonsense")[0] == 1
        private = office.services.log_key.export()
        code, _, err = typed("verify", proof, "--key", private)
        assert code == 1
        assert "private signing key" in err
        assert private.split("+", 4)[4] not in err
