"""SoftHSM 2 (Debian: softhsm2) as a signing token: keys and certificates put into it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11.util.x509 import decode_x509_certificate

from docflow.signing.keysigner import SigningKey

PIN = "271828"
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


def module() -> Path:
    """The library; without it, CI fails and a developer's run skips."""
    for name in _MODULES:
        if Path(name).is_file() and shutil.which("softhsm2-util"):
            return Path(name)
    if os.environ.get("CI"):
        raise RuntimeError("SoftHSM is missing; install the package softhsm2")
    pytest.skip("SoftHSM (package softhsm2) is not installed")


@contextmanager
def empty_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SoftHSM of its own, empty; the library starts anew on it. Gives its configuration file."""
    library = module()
    (folder / "tokens").mkdir(parents=True)
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    pkcs11.lib(str(library)).reinitialize()
    yield config
    pkcs11.lib(str(library)).finalize()


def make_token(label: str) -> None:
    """Add a token with the PIN; the library knows of it."""
    put_in(label)
    pkcs11.lib(str(module())).reinitialize()


def put_in(label: str) -> None:
    """Add a token with the PIN; the library of this process does not know of it yet."""
    _util("--init-token", "--free", "--label", label, "--so-pin", "31415926", "--pin", PIN)


def put_key(
    folder: Path, token: str, label: str, key: SigningKey, *certificates: x509.Certificate
) -> None:
    """Write a key and certificates into a token, the first under the key's own label."""
    path = folder / f"{label}.pk8"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    number = f"{abs(hash((token, label))) % 65536:04x}"
    _util(
        *("--import", str(path), "--token", token, "--label", label, "--id", number, "--pin", PIN)
    )
    path.unlink()
    pkcs11.lib(str(module())).reinitialize()
    with (
        pkcs11.lib(str(module()))
        .get_token(token_label=token)
        .open(rw=True, user_pin=PIN) as session
    ):
        for place, certificate in enumerate(certificates):
            values = decode_x509_certificate(certificate.public_bytes(Encoding.DER))
            name = label if place == 0 else f"{label}-authority-{place}"
            session.create_object(
                {**values, pkcs11.Attribute.TOKEN: True, pkcs11.Attribute.LABEL: name}
            )


def _util(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
