"""`docflow open`, as a recipient runs it: no instance, no server, no database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docflow.kernel.errors import InvalidInputError
from docflow.signing.envelope.keyfile import load_certificate, load_key
from tests.envelope_support import PASSPHRASE, Recipient, recipient, sealed
from tests.unit.signing.forge import run

PLAIN = b"%PDF-1.7 \xc4\x90\xe1\xba\xbfn\n" * 9000


def docflow(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command in an empty folder with nothing of docflow's in the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "docflow", "open", *map(str, arguments)],
        cwd=folder, env=kept, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip


@pytest.fixture
def reader() -> Recipient:
    return recipient("p256")


@pytest.fixture
def delivered(tmp_path: Path, reader: Recipient) -> Path:
    path = tmp_path / "15-QĐ-VP.pdf.p7m"
    path.write_bytes(sealed(PLAIN, recipient("p384"), reader))
    (tmp_path / "me.p12").write_bytes(reader.pkcs12())
    (tmp_path / "me.pass").write_bytes(PASSPHRASE + b"\n")
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestOpening:
    def test_with_a_pkcs12_file(self, tmp_path: Path, delivered: Path) -> None:
        before = names(tmp_path)
        done = docflow(
            tmp_path, delivered, "--key", "me.p12", "--passphrase-file", "me.pass", "-o", "x.pdf"
        )
        assert done.returncode == 0, done.stderr
        out = tmp_path / "x.pdf"
        assert out.read_bytes() == PLAIN
        assert f"{len(PLAIN)} bytes" in done.stdout.decode()
        assert out.stat().st_mode & 0o777 == 0o600
        assert names(tmp_path) == before | {"x.pdf"}

    def test_with_pem_files_to_stdout(
        self, tmp_path: Path, delivered: Path, reader: Recipient
    ) -> None:
        key, certificate = reader.write(tmp_path, "pem")
        done = docflow(tmp_path, delivered, "--key", key, "--cert", certificate, "-o", "-")
        assert (done.returncode, done.stdout) == (0, PLAIN)

    def test_what_exists_is_overwritten_only_by_force(
        self, tmp_path: Path, delivered: Path, reader: Recipient
    ) -> None:
        key, _ = reader.write(tmp_path, "pem")
        (tmp_path / "x.pdf").write_bytes(b"mine")
        done = docflow(tmp_path, delivered, "--key", key, "-o", "x.pdf")
        assert (done.returncode, (tmp_path / "x.pdf").read_bytes()) == (1, b"mine")
        assert "--force" in done.stderr.decode()
        done = docflow(tmp_path, delivered, "--key", key, "-o", "x.pdf", "--force")
        assert (done.returncode, (tmp_path / "x.pdf").read_bytes()) == (0, PLAIN)


class TestRefusing:
    @pytest.mark.parametrize("harm", ["flip", "cut", "more"])
    def test_a_damaged_file_leaves_no_plaintext_and_keeps_what_was_there(
        self, tmp_path: Path, delivered: Path, reader: Recipient, harm: str
    ) -> None:
        key, _ = reader.write(tmp_path, "pem")
        data = bytearray(delivered.read_bytes())
        if harm == "flip":
            data[-1] ^= 1
        harmed = {"flip": bytes(data), "cut": bytes(data[:-20]), "more": bytes(data) + b"\n"}[harm]
        delivered.write_bytes(harmed)
        (tmp_path / "x.pdf").write_bytes(b"mine")
        before = names(tmp_path)
        done = docflow(tmp_path, delivered, "--key", key, "-o", "x.pdf", "--force")
        assert done.returncode == 1
        assert "damaged or was changed" in done.stderr.decode()
        assert names(tmp_path) == before
        assert (tmp_path / "x.pdf").read_bytes() == b"mine"
        done = docflow(tmp_path, delivered, "--key", key, "-o", "-")
        assert (done.returncode, done.stdout) == (1, b"")

    def test_someone_else(self, tmp_path: Path, delivered: Path) -> None:
        (tmp_path / "other.p12").write_bytes(recipient("p256", 1).pkcs12(None))
        before = names(tmp_path)
        done = docflow(tmp_path, delivered, "--key", "other.p12", "-o", "x.pdf")
        assert (done.returncode, names(tmp_path)) == (1, before)
        assert "not encrypted to this certificate" in done.stderr.decode()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--key", "me.p12", "-o", "x"), "--passphrase-file"),
            (("--key", "none.p12", "-o", "x"), "cannot be read"),
            (("--key", "me.p12", "--passphrase-file", "none", "-o", "x"), "cannot be read"),
            (("--key", "me.p12", "--passphrase-file", "me.p12", "-o", "x"), "this passphrase"),
            (("--key", "me.p12", "--passphrase-file", "me.pass", "-o", "no/x"), "can be written"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_wrong_arguments(
        self, tmp_path: Path, delivered: Path, arguments: tuple[str, ...], words: str
    ) -> None:
        done = docflow(tmp_path, delivered, *arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        assert words in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()

    def test_a_file_that_is_not_there(self, tmp_path: Path, delivered: Path) -> None:
        (tmp_path / "me.p12").write_bytes(recipient("p256").pkcs12(None))
        done = docflow(tmp_path, "none.p7m", "--key", "me.p12", "-o", "x")
        assert (done.returncode, b"cannot be read" in done.stderr) == (1, True)


class TestKeyFiles:
    def never(self) -> bytes:
        raise AssertionError("asked for a passphrase")

    @pytest.fixture(params=["rsa", "p256"])
    def reader(self, request: pytest.FixtureRequest) -> Recipient:
        return recipient(request.param)

    @pytest.fixture
    def pem(self, tmp_path: Path, reader: Recipient) -> tuple[Path, Path]:
        return reader.write(tmp_path, "pem")

    @pytest.mark.parametrize("form", ["DER", "PEM"])
    @pytest.mark.parametrize("kind", ["pkcs8", "traditional"])
    def test_keys_without_passphrase(
        self, tmp_path: Path, reader: Recipient, pem: tuple[Path, Path], form: str, kind: str
    ) -> None:
        out = tmp_path / "converted"
        tool = "rsa" if "RSA" in type(reader.key).__name__ else "ec"
        if kind == "pkcs8":
            run(
                "openssl",
                "pkcs8",
                "-topk8",
                "-nocrypt",
                "-in",
                pem[0],
                "-outform",
                form,
                "-out",
                out,
            )
        else:
            traditional = ["-traditional"] if tool == "rsa" else []
            run("openssl", tool, "-in", pem[0], *traditional, "-outform", form, "-out", out)
        key, certificate = load_key(out, self.never)
        assert key.private_numbers() == reader.key.private_numbers()
        assert certificate is None

    @pytest.mark.parametrize("form", ["DER", "PEM"])
    def test_keys_with_passphrase(
        self, tmp_path: Path, reader: Recipient, pem: tuple[Path, Path], form: str
    ) -> None:
        out = tmp_path / "converted"
        run(
            "openssl", "pkcs8", "-topk8", "-in", pem[0], "-outform", form, "-out", out,
            "-v2", "aes-256-cbc", "-passout", "pass:" + PASSPHRASE.decode(),
        )  # fmt: skip
        key, _ = load_key(out, lambda: PASSPHRASE)
        assert key.private_numbers() == reader.key.private_numbers()
        with pytest.raises(InvalidInputError) as caught:
            load_key(out, lambda: b"wrong")
        assert caught.value.code == "key-passphrase"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_key_and_certificate_in_one_pem_file(
        self, tmp_path: Path, reader: Recipient, pem: tuple[Path, Path], order: tuple[int, int]
    ) -> None:
        both = tmp_path / "both.pem"
        both.write_bytes(b"".join(pem[which].read_bytes() for which in order))
        key, certificate = load_key(both, self.never)
        assert key.private_numbers() == reader.key.private_numbers()
        assert certificate == reader.certificate

    @pytest.mark.parametrize("passphrase", [None, b"", PASSPHRASE])
    def test_pkcs12_of_openssl(
        self, tmp_path: Path, reader: Recipient, pem: tuple[Path, Path], passphrase: bytes | None
    ) -> None:
        out = tmp_path / "made.p12"
        run(
            "openssl", "pkcs12", "-export", "-inkey", pem[0], "-in", pem[1], "-out", out,
            "-passout", "pass:" + (passphrase or b"").decode(),
        )  # fmt: skip
        key, certificate = load_key(out, lambda: passphrase or b"")
        assert key.private_numbers() == reader.key.private_numbers()
        assert certificate == reader.certificate

    @pytest.mark.parametrize("content", [b"", b"\x30", b"hello", b"-----BEGIN X-----", b"\0" * 99])
    def test_files_that_hold_no_key(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "k"
        path.write_bytes(content)
        for load in (lambda: load_key(path, lambda: b"x"), lambda: load_certificate(path)):
            with pytest.raises(InvalidInputError) as caught:
                load()
            assert caught.value.code in {"key-file", "key-passphrase"}

    def test_a_certificate_in_pem_or_der(
        self, tmp_path: Path, reader: Recipient, pem: tuple[Path, Path]
    ) -> None:
        der = tmp_path / "c.der"
        run("openssl", "x509", "-in", pem[1], "-outform", "DER", "-out", der)
        assert load_certificate(pem[1]) == load_certificate(der) == reader.certificate

    def test_a_key_that_only_signs(self, tmp_path: Path) -> None:
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "k")
        with pytest.raises(InvalidInputError, match="no RSA or elliptic-curve") as caught:
            load_key(tmp_path / "k", self.never)
        assert caught.value.code == "key-file"
