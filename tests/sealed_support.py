"""An office in which internal documents count as sealed, and recipients who can open them."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.clock import Clock
from docflow.people.seed import BUILTIN
from docflow.signing.envelope import decrypt
from tests.envelope_support import Recipient, certificate_for, ec_key, rsa_key
from tests.office_support import ADMINISTRATOR, Instance

YEAR = timedelta(days=365)
RSA_USES, EC_USES = ("key_encipherment",), ("key_agreement",)


def sealed_office(folder: Path) -> Path:
    """Write the sample office with documents sealed from `internal` on; return the file."""
    path = folder / "sealed-office.yaml"
    text = BUILTIN.read_text("utf-8")
    shipped = "  sealed_from: confidential\n  ceiling: confidential\n"
    assert shipped in text
    sealed = text.replace(shipped, shipped.replace("confidential", "internal"))
    path.write_text(sealed, "utf-8")
    return path


@cache
def _key(kind: str, which: int) -> Any:
    return rsa_key(3072, which) if kind == "rsa" else ec_key(ec.SECP256R1())


def opener(clock: Clock, kind: str = "p256", which: int = 0, **changes: Any) -> Recipient:
    """A recipient whose certificate is good at the clock's time, or changed as told."""
    key = _key(kind, which)
    values: dict[str, Any] = {
        "name": f"{kind} {which}",
        "uses": RSA_USES if kind == "rsa" else EC_USES,
        "valid_from": clock.now() - timedelta(days=1),
        "valid_until": clock.now() + YEAR,
    }
    return Recipient(key, certificate_for(key, **(values | changes)))


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def give(instance: Instance, code: str, *openers: Recipient) -> None:
    """Put certificates on a recipient's record."""
    (row,) = instance.rows("recipients", code=code)
    for one in openers:
        instance.services.certificates.add(
            instance.actor(ADMINISTRATOR), row["id"], pem(one.certificate)
        )


def plaintext(stored: bytes, by: Recipient) -> bytes:
    target = BytesIO()
    decrypt(BytesIO(stored), target, by.key, by.certificate)
    return target.getvalue()


def stored(instance: Instance, row: dict[str, Any]) -> bytes:
    with instance.services.desk.vault.open(row) as file:
        return file.read()


def digests(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["sha256"] for row in rows]
