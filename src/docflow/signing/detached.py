"""Signatures over files that are not PDF: CAdES detached (.p7s), and ASiC-E containers.

Rules:
- A detached signature carries its signing time, the signer's certificate by signing-certificate-v2 and the
  chain without its root; at B-T also a time stamp, at B-LT also the evidence on every certificate, which is
  gathered first: a responder that is away costs no stamp.
- The evidence of a container is about the signers of our signature files in it too.
- A container is a zip file: `mimetype` first, stored and without extra fields, the files, the manifest
  that names each with its SHA-256, and a detached signature over the manifest; at B-LTA also an archive
  manifest that names all of them, and a time stamp over that. B-LTA is a container's alone.
- Files pass through in bounded memory; only the paths given are opened.

Source: ETSI EN 319 122-1 (CAdES), EN 319 162-1 (ASiC), RFC 5652.
"""

import hashlib
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from docflow.kernel.errors import InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.containerstamp import first_stamp
from docflow.signing.embedding import CHUNK_BYTES, Embedded, digest_of, made_at
from docflow.signing.identity import SignerIdentity
from docflow.signing.incms import chains_in, joined, with_evidence
from docflow.signing.levels import Level, reaches
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.manifest import (
    MANIFEST,
    MIMETYPE,
    SIGNATURE,
    SIGNATURE_TYPE,
    Reference,
    manifest,
)
from docflow.signing.outside.timestamps import Timestamper
from docflow.signing.standing import Chain

CONTAINER_TYPE = "application/vnd.etsi.asic-e+zip"
_T = TypeVar("_T")
RESERVED = frozenset({"mimetype", "meta-inf"})
MAX_NAME_CHARS = 200
BAD_CHARS = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a container: its name there, where it lies, and what it is.

    `signers` says that it is a signature file of ours, on whose signers evidence is wanted; a signature
    file that somebody sent in is a file like others.
    """

    name: str
    path: Path
    media_type: str
    signers: bool = False


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
        level: up to B-LT.
        longterm: makes levels above B-B.
        beside: a signature file of others over the same file, whose signers `target` shall hold too.

    Raises:
        ValueError: if the level is B-LTA, or needs time-stamp authorities that are not given.
        IntegrityError: code `signature-not-valid` if `beside` is no signature file.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
        ConflictError: code `level-unavailable` or `signer-revoked`.
    """
    with source.open("rb") as file:
        return write_signature(
            target,
            lambda stamper: _cms(file, identity, now, stamper),
            identity,
            now=now,
            level=level,
            longterm=longterm,
            beside=beside,
        )


def write_signature(
    target: Path,
    make: Callable[[Timestamper | None], bytes],
    identity: SignerIdentity,
    *,
    now: datetime,
    level: Level,
    longterm: LongTerm | None,
    beside: Path | None,
) -> Embedded:
    """Write the signature that `make` makes to `target`, beside those of the signature file `beside`.

    Args:
        target: takes the signature file (.p7s); not touched if it failed.
        make: makes the signature, with a time stamp if it is given a time stamper.
        identity: whose signature it is.
        now: the current instant.
        level: up to B-LT.
        longterm: makes levels above B-B.
        beside: a signature file of others over the same file, whose signers `target` shall hold too.

    Raises:
        ValueError: if the level is B-LTA, or needs time-stamp authorities that are not given.
        IntegrityError: code `signature-not-valid` if `beside` is no signature file.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
        ConflictError: code `level-unavailable` or `signer-revoked`.
    """
    if level == "B-LTA":
        raise ValueError("the archive time stamp is one over the whole container")
    signature, bench = at_level(
        lambda bench: _with(make, identity, level, bench), now, level, longterm
    )
    if beside is not None:
        signature = joined(beside.read_bytes(), signature)
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
    """Write an ASiC-E container with one signature over all of `members`, at any level.

    Raises:
        InvalidInputError: code `container-name` if there is no file, a name cannot be one of a file, or
            two are the same.
        ValueError: if the level needs time-stamp authorities that are not given.
        OutsideUnavailableError, ConflictError: as `sign_detached`.
    """
    _check_names([member.name for member in members])
    with target.open("w+b") as output:
        try:
            with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_entry(MIMETYPE, now), CONTAINER_TYPE)
                named = [_add(archive, member, now) for member in members]
                own, bench = at_level(
                    lambda bench: _own(members, named, identity, now, level, bench),
                    now, level, longterm,
                )  # fmt: skip
                for name, content in own.items():
                    archive.writestr(_entry(name, now), content)
            return made_at(level, bench, *digest_of(output))
        except BaseException:
            output.truncate(0)
            raise


def _own(
    members: Sequence[Member],
    named: Sequence[Reference],
    identity: SignerIdentity,
    now: datetime,
    level: Level,
    bench: Bench | None,
) -> dict[str, bytes]:
    """Return what a container holds beside its files, by name, in order."""
    content = manifest(SIGNATURE, SIGNATURE_TYPE, named)
    also: list[Chain] = []
    if bench is not None and reaches(level, "B-LT"):
        beside = [one.path for one in members if one.signers]
        also = [chain for path in beside for chain in chains_in(path.read_bytes())]
    signature = _with(
        lambda stamper: _cms(content, identity, now, stamper), identity, level, bench, also
    )
    made = {MANIFEST: content, SIGNATURE: signature}
    if bench is not None and level == "B-LTA":
        made |= first_stamp(named, made, bench)
    return made


def at_level(
    make: Callable[[Bench | None], _T], now: datetime, level: Level, longterm: LongTerm | None
) -> tuple[_T, Bench | None]:
    """Return what `make` makes with a bench, or with none at B-B, and that bench."""
    if level == "B-B":
        return make(None), None
    if longterm is None:
        raise ValueError(f"a signature at {level} needs time-stamp authorities")
    return longterm.work(level, now, lambda bench: (make(bench), bench))


def _with(
    make: Callable[[Timestamper | None], bytes],
    identity: SignerIdentity,
    level: Level,
    bench: Bench | None,
    also: Sequence[Chain] = (),
) -> bytes:
    """Return the signature that `make` makes, with its time stamp and its evidence."""
    if bench is None:
        return make(None)
    if not reaches(level, "B-LT"):
        return make(bench.timestamper)
    signer = identity.signer
    evidence = bench.evidence([[signer.signing_cert, *signer.cert_registry], *also])
    return with_evidence(make(bench.timestamper), evidence)


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


def _add(archive: zipfile.ZipFile, member: Member, now: datetime) -> Reference:
    digest = hashlib.sha256()
    size = member.path.stat().st_size
    with (
        member.path.open("rb") as source,
        archive.open(_entry(member.name, now), "w", force_zip64=size >= 1 << 31) as entry,
    ):
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            entry.write(chunk)
    return Reference(member.name, member.media_type, digest.digest())
