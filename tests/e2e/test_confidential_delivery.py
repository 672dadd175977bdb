"""A confidential document over a really served process: encrypted, downloaded, opened without docflow.

The recipient's side has a private key and files, nothing else: `docflow open` and `openssl cms` run in
a folder of their own, and `pdfsig` judges the signatures of what they give.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docflow.kernel.clock import SystemClock
from tests.api_support import answered, if_match, refused
from tests.e2e.served import Service, served
from tests.envelope_support import PASSPHRASE, Recipient
from tests.office_support import ADMINISTRATOR, CLERK, copy_instance
from tests.sealed_support import opener, pem, plaintext, sealed_office
from tests.unit.signing.forge import run
from tests.unit.signing.test_envelope_command import docflow

STC, SNV = "stc", "snv"  # logins of two recipients' accounts
PEM = {"Content-Type": "application/x-pem-file"}


@pytest.fixture(scope="module")
def openers() -> dict[str, Recipient]:
    clock = SystemClock()
    return {
        "STC": opener(clock, "rsa"), "SNV": opener(clock, which=1), "escrow": opener(clock, which=2),
    }  # fmt: skip


@pytest.fixture(scope="module")
def confidential(
    served_template: Path, openers: dict[str, Recipient], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A served office that seals internal documents and has an escrow."""
    folder = tmp_path_factory.mktemp("served-sealed")
    copy_instance(served_template, folder)
    escrow = folder / "escrow.pem"
    escrow.write_bytes(pem(openers["escrow"].certificate))
    settings = {
        "office_file": str(sealed_office(folder)), "recovery_certificate_file": str(escrow),
    }  # fmt: skip
    with served(folder, f"sqlite:///{folder / 'docflow.sqlite3'}", **settings) as service:
        yield service


def certify(service: Service, openers: dict[str, Recipient]) -> None:
    admin = service.login(ADMINISTRATOR)
    for code in ("STC", "SNV"):
        (row,) = admin.read("/v1/recipients", code=code)["items"]
        admin.request(
            "POST",
            f"/v1/recipients/{row['id']}/certificates",
            content=pem(openers[code].certificate),
            headers=PEM,
        ).raise_for_status()


def download(service: Service, login: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Download the newest delivery as its recipient; return the file and what the list says of it."""
    recipient = service.login(login)
    listed = recipient.read("/v1/inbox")["items"][0]
    answer = recipient.get(f"/v1/inbox/{listed['id']}/content")
    assert answer.status_code == 200
    path = folder / f"{login}.pdf.p7m"
    path.write_bytes(answer.content)
    assert hashlib.sha256(answer.content).hexdigest() == listed["sha256"]
    return path, listed


def assert_signed(pdf: Path) -> None:
    person, seal = run("pdfsig", pdf, check=False).split("Signature #")[1:]
    assert "Signature is Valid" in person
    assert "Signature is Valid" in seal
    assert "Total document signed" in seal


def test_recipients_open_what_they_download_with_their_own_key(
    confidential: Service, openers: dict[str, Recipient], tmp_path: Path
) -> None:
    service = confidential
    signed = service.signed()
    clerk = service.login(CLERK)
    version = clerk.read(f"/v1/documents/{signed}")["version"]
    asked = clerk.post(
        f"/v1/documents/{signed}/transitions", {"trigger": "release"}, headers=if_match(version)
    )
    refused(asked, 409, "recipient-certificate")
    certify(service, openers)
    document = clerk.carry(signed, "release")
    assert document["state"] == "released"

    # RSA-OAEP, a PKCS#12 file, docflow without an instance
    finance, listed = download(service, STC, tmp_path)
    assert (listed["confidential"], listed["subject"]) == (True, None)
    (tmp_path / "me.p12").write_bytes(openers["STC"].pkcs12())
    (tmp_path / "me.pass").write_bytes(PASSPHRASE)
    root = service.folder / "pki" / "root.pem"
    words = ["--key", "me.p12", "--passphrase-file", "me.pass"]
    done = docflow(tmp_path, finance, *words, "-o", "stc.pdf", "--verify", root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"TOTAL-PASSED") == 2
    assert_signed(tmp_path / "stc.pdf")

    # ECDH, PEM files, docflow and OpenSSL give the same bytes
    home, _ = download(service, SNV, tmp_path)
    key, certificate = openers["SNV"].write(tmp_path, "home")
    done = docflow(tmp_path, home, "--key", key, "--cert", certificate, "-o", "snv.pdf")
    assert done.returncode == 0, done.stderr
    opened = (tmp_path / "snv.pdf").read_bytes()
    assert opened == (tmp_path / "stc.pdf").read_bytes()
    run(
        "openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-in", home,
        "-recip", certificate, "-inkey", key, "-out", tmp_path / "openssl.pdf",
    )  # fmt: skip
    assert (tmp_path / "openssl.pdf").read_bytes() == opened

    # the escrow opens it too, another recipient does not
    assert plaintext(home.read_bytes(), openers["escrow"]) == opened
    done = docflow(tmp_path, home, *words, "-o", "other.pdf")
    assert done.returncode == 1
    assert not (tmp_path / "other.pdf").exists()

    # whoever names the digest of the PDF has opened it
    (delivery,) = [
        one for one in service.login(SNV).read("/v1/inbox")["items"] if not one["receipt"]
    ]
    digest = {"sha256": hashlib.sha256(opened).hexdigest(), "note": "Đã nhận."}
    answer = service.login(SNV).post(f"/v1/inbox/{delivery['id']}/receipt", digest)
    assert answered(answer, 200)["receipt"]["opened"] is True
    deliveries = clerk.read(f"/v1/documents/{signed}/deliveries")
    assert sorted(bool(one["acknowledged_at"]) for one in deliveries) == [False, True]
    verified = service.command("audit", "verify", "--contents")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_what_is_not_signed_under_the_roots_given_is_not_written(
    confidential: Service, openers: dict[str, Recipient], tmp_path: Path
) -> None:
    certify(confidential, openers)
    confidential.login(CLERK).carry(confidential.signed(), "release")
    home, _ = download(confidential, SNV, tmp_path)
    key, certificate = openers["SNV"].write(tmp_path, "home")
    done = docflow(
        tmp_path, home, "--key", key, "--cert", certificate, "-o", "x.pdf", "--verify", certificate
    )
    assert done.returncode == 1
    assert b"not well signed" in done.stderr
    assert not (tmp_path / "x.pdf").exists()
