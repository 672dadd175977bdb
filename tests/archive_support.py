"""ASiC-E containers with CAdES for the long term, made as another program than docflow would."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.unit.signing.forge import run
from tests.verification_support import Maker, container, manifest

MANIFEST, SIGNATURE = "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"
ARCHIVE = "META-INF/ASiCArchiveManifest.xml"
Entries = dict[str, bytes]


def token_name(number: int) -> str:
    return f"META-INF/timestamp{number:03}.tst"


def long_term(
    maker: Maker, files: Mapping[str, bytes], *, label: str = "person", tsa: str | None = "tsa"
) -> Entries:
    """Return the files of a container at B-LT."""
    signed = manifest(SIGNATURE, files)
    signature = maker.cades(signed, label=label, tsa=tsa, revocation=True)
    return {**files, MANIFEST: signed, SIGNATURE: signature}


def archived(
    entries: Mapping[str, bytes],
    maker: Maker,
    tsa: str = "tsa",
    *,
    without: Iterable[str] = (),
    digests: Mapping[str, bytes] | None = None,
    stamped: bytes | None = None,
) -> Entries:
    """Return the files with one more archive manifest and its time stamp.

    The manifest before gets a name of its own, and its token what is known of its authority now.

    Args:
        entries: the files before.
        maker: makes the token.
        tsa: the authority.
        without: names that the new manifest leaves out.
        digests: that the new manifest tells, other than the true ones.
        stamped: what the token stamps, other than the manifest.
    """
    made = dict(entries)
    number = 1 + sum(name.endswith(".tst") for name in made)
    if ARCHIVE in made:
        made[f"META-INF/ASiCArchiveManifest{number - 1:03}.xml"] = made.pop(ARCHIVE)
        before = token_name(number - 1)
        made[before] = maker.with_revocation(made[before])
    left_out = set(without)
    named = {name: data for name, data in made.items() if name not in left_out}
    made[ARCHIVE] = manifest(token_name(number), named, digests)
    made[token_name(number)] = maker.token(stamped or made[ARCHIVE], tsa)
    return made


def packed(entries: Mapping[str, bytes]) -> bytes:
    return container(entries)


def openssl_stamped(folder: Path, token: bytes, data: bytes, roots: Path) -> str:
    """Have OpenSSL verify a time-stamp token over `data`; return what it says."""
    (folder / "token.tst").write_bytes(token)
    (folder / "stamped").write_bytes(data)
    return run(
        "openssl", "ts", "-verify", "-token_in", "-in", folder / "token.tst",
        "-data", folder / "stamped", "-CAfile", roots,
    )  # fmt: skip
