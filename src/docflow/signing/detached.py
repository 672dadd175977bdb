"""Signatures over files that are not PDF: CAdES detached (.p7s), and ASiC-E containers.

Rules:
- A detached signature carries its signing time, the signer's certificate by signing-certificate-v2 and the
  chain without its root; at B-T also a time stamp. Higher levels are those of PDF.
- A container is a zip file: `mimetype` first, stored and without extra fields, the files, the manifest
  that names each with its SHA-256, and a detached signature over the manifest.
- Files pass through in bounded memory; only the paths given are opened.

Source: ETSI EN 319 122-1 (CAdES), EN 319 162-1 (ASiC), RFC 5652.
"""

import base64
import hashlib
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from asn1crypto import cms
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from docflow.kernel.errors import IntegrityError, InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.embedding import CHUNK_BYTES, Embedded, digest_of, made_at
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.outside.timestamps import Timestamper

CONTAINER_TYPE = "application/vnd.etsi.asic-e+zip"
SIGNATURE_TYPE = "application/pkcs7-signature"
MIMETYPE = "mimetype"
MANIFEST = "META-INF/ASiCManifest001.xml"
SIGNATURE = "META-INF/signature001.p7s"
OWN_NAMES = frozenset({MIMETYPE, MANIFEST, SIGNATURE})
"""What a container holds beside its files."""

RESERVED = frozenset({"mimetype", "meta-inf"})
MAX_NAME_CHARS = 200
BAD_CHARS = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a container: its name there, where it lies, and what it is."""

    name: str
    path: Path
    media_type: str


def sign_detached(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    beside: Path | None = None,
) -> Embedded:
    """Write a CAdES signature over `source`, whatever it is, to `target`.

    Args:
        source: the file to sign.
        target: takes the signature file (.p7s).
        identity: who signs.
        now: the signing time.
        level: B-B or B-T.
        longterm: asks the time-stamp authorities.
        beside: a signature file of others over the same file, whose signers `target` shall hold too.

    Raises:
        ValueError: if the level is above B-T, or needs time-stamp authorities that are not given.
        IntegrityError: code `signature-not-valid` if `beside` is no signature file.
        OutsideUnavailableError: code `tsa-unavailable`.
    """
    with source.open("rb") as file:
        signature, bench = _signature(file, identity, now, level, longterm)
    return write_signature(target, signature, beside, level, bench)


def write_signature(
    target: Path, signature: bytes, beside: Path | None, level: Level, bench: Bench | None
) -> Embedded:
    """Write a signature to `target`, with those of the signature file `beside` if there is one.

    Raises:
        IntegrityError: code `signature-not-valid` if `beside` is no signature file.
    """
    if beside is not None:
        signature = _joined(beside.read_bytes(), signature)
    with target.open("w+b") as output:
        output.write(signature)
    return made_at(level, bench, hashlib.sha256(signature).hexdigest(), len(signature))


def write_container(
    target: Path,
    members: Sequence[Member],
    identity: SignerIdentity,
    *,
    now: datetime,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
) -> Embedded:
    """Write an ASiC-E container with one signature over all of `members`.

    Raises:
        InvalidInputError: code `container-name` if there is no file, a name cannot be one of a file, or
            two are the same.
        ValueError: as `sign_detached`.
        OutsideUnavailableError: code `tsa-unavailable`.
    """
    _check_names([member.name for member in members])
    with target.open("w+b") as output:
        try:
            with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_entry(MIMETYPE, now), CONTAINER_TYPE)
                digests = [_add(archive, member, now) for member in members]
                manifest = _manifest(members, digests)
                archive.writestr(_entry(MANIFEST, now), manifest)
                signature, bench = _signature(manifest, identity, now, level, longterm)
                archive.writestr(_entry(SIGNATURE, now), signature)
            return made_at(level, bench, *digest_of(output))
        except BaseException:
            output.truncate(0)
            raise


def _signature(
    content: BinaryIO | bytes,
    identity: SignerIdentity,
    now: datetime,
    level: Level,
    longterm: LongTerm | None,
) -> tuple[bytes, Bench | None]:
    """Return the signature and what time-stamped it, if something did."""
    return stamped(lambda stamper: _cms(content, identity, now, stamper), now, level, longterm)


def stamped(
    make: Callable[[Timestamper | None], bytes],
    now: datetime,
    level: Level,
    longterm: LongTerm | None,
) -> tuple[bytes, Bench | None]:
    """Return the signature that `make` makes, and what time-stamped it, if something did.

    Raises:
        ValueError: if the level is above B-T, or needs time-stamp authorities that are not given.
        OutsideUnavailableError: code `tsa-unavailable`.
    """
    if level not in {"B-B", "B-T"}:
        raise ValueError(f"a file that is no PDF is signed at B-B or B-T, not {level}")
    if level == "B-B":
        return make(None), None
    if longterm is None:
        raise ValueError("a signature at B-T needs time-stamp authorities")
    return longterm.work(level, now, lambda bench: (make(bench.timestamper), bench))


def _cms(
    content: BinaryIO | bytes,
    identity: SignerIdentity,
    now: datetime,
    timestamper: Timestamper | None,
) -> bytes:
    if not isinstance(content, bytes):
        content.seek(0)
    signed = blocking(
        identity.signer.async_sign_general_data(
            content,
            identity.signer.digest_name,
            detached=True,
            use_cades=True,
            timestamper=timestamper,
            chunk_size=CHUNK_BYTES,
            signed_attr_settings=PdfCMSSignedAttributes(signing_time=now),
        )
    )
    return bytes(signed.dump())


def _joined(others: bytes, own: bytes) -> bytes:
    """Return one SignedData with the signers of both: each over the same file, none over another.

    Source: RFC 5652, 5.1: the sets of signers, certificates and digest algorithms.
    """
    try:
        whole = cms.ContentInfo.load(others, strict=True)
        signers = list(whole["content"]["signer_infos"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            "The signature of the person before is not one.", code="signature-not-valid"
        ) from error
    added = cms.ContentInfo.load(own)["content"]
    signed = whole["content"]
    for name in ("digest_algorithms", "certificates"):
        kept = {one.dump(): one for one in (*signed[name], *added[name])}
        signed[name] = type(signed[name])(kept.values())
    signed["signer_infos"] = cms.SignerInfos([*signers, *added["signer_infos"]])
    return whole.dump(force=True)  # type: ignore[no-any-return]


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InvalidInputError("A container needs at least one file.", code="container-name")
    for name in names:
        if (
            not 0 < len(name) <= MAX_NAME_CHARS
            or BAD_CHARS.search(name)
            or name.strip(". ") != name.strip()
            or name.casefold() in RESERVED
        ):
            raise InvalidInputError(
                f"{name!r} cannot be the name of a file in a container: 1 to {MAX_NAME_CHARS} "
                "characters, no path and no control characters.",
                code="container-name",
            )
    if len({name.casefold() for name in names}) != len(names):
        raise InvalidInputError(
            "Two files of the container have the same name; give each its own.",
            code="container-name",
        )


def _entry(name: str, now: datetime) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (now.year, now.month, now.day, now.hour, now.minute, now.second))


def _add(archive: zipfile.ZipFile, member: Member, now: datetime) -> bytes:
    digest = hashlib.sha256()
    size = member.path.stat().st_size
    with (
        member.path.open("rb") as source,
        archive.open(_entry(member.name, now), "w", force_zip64=size >= 1 << 31) as entry,
    ):
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            entry.write(chunk)
    return digest.digest()


def _manifest(members: Sequence[Member], digests: Sequence[bytes]) -> bytes:
    references = "".join(
        f"  <asic:DataObjectReference URI={quoteattr(quote(member.name))} "
        f"MimeType={quoteattr(member.media_type)}>\n"
        '    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>\n'
        f"    <ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue>\n"
        "  </asic:DataObjectReference>\n"
        for member, digest in zip(members, digests, strict=True)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">\n'
        f'  <asic:SigReference URI="{SIGNATURE}" MimeType="{SIGNATURE_TYPE}"/>\n'
        f"{references}</asic:ASiCManifest>\n"
    ).encode()
