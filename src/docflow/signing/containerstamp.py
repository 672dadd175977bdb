"""Archive time stamps of containers: the first one, and the next before the newest one ends.

Rules:
- An archive manifest names every file of the container but `mimetype`, and a token stamps it.
- For the next one the container is copied. The newest archive manifest gets a number, its token the
  evidence that it was good until now, and the new manifest names all of that too. No other byte changes.
- The new stamp must last longer than the newest one; one that is no longer good cannot be carried on.

Source: ETSI EN 319 162-1, A.7; EN 319 122-1, 5.5; RFC 3161.
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from asn1crypto import cms

from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.signing.archive import Renewed, evidence_on_newest, made_with, require_gain
from docflow.signing.blocking import blocking
from docflow.signing.embedding import CHUNK_BYTES, digest_of
from docflow.signing.incms import with_evidence
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.manifest import (
    ARCHIVE,
    MANIFEST_TYPE,
    MIMETYPE,
    SIGNATURE_TYPE,
    TOKEN_TYPE,
    Reference,
    earlier,
    manifest,
    token,
)
from docflow.signing.outside.timestamps import signer_of
from docflow.signing.verifying.cms import MAX_CMS_BYTES
from docflow.signing.verifying.cms import load as load_cms
from docflow.signing.verifying.containers import Container


def first_stamp(
    files: Sequence[Reference], own: Mapping[str, bytes], bench: Bench
) -> dict[str, bytes]:
    """Return the first archive manifest and its token, by name.

    Args:
        files: of the container.
        own: what it holds beside them: manifest and signature, by name, in this order.
        bench: asks the authority.
    """
    types = (MANIFEST_TYPE, SIGNATURE_TYPE)
    beside = [
        Reference(name, kind, hashlib.sha256(content).digest())
        for (name, content), kind in zip(own.items(), types, strict=True)
    ]
    return _stamped(1, [*files, *beside], bench)


def _stamped(number: int, named: Sequence[Reference], bench: Bench) -> dict[str, bytes]:
    content = manifest(token(number), TOKEN_TYPE, named)
    made = blocking(bench.timestamper.async_timestamp(hashlib.sha256(content).digest(), "sha256"))
    return {ARCHIVE: content, token(number): bytes(made.dump())}


def renew_container(source: Path, target: Path, longterm: LongTerm, *, now: datetime) -> Renewed:
    """Write the container `source` with one more archive time stamp to `target`.

    Raises:
        ConflictError: code `no-archive-timestamp` if there is none yet, `archive-timestamp-lost` if
            the newest one is no longer good, so that another could not carry it on.
        OutsideUnavailableError: if no authority or no responder answers.
        IntegrityError: if the file is no container that this service made.
    """
    return longterm.work("B-LTA", now, lambda bench: _renewed(source, target, bench, now))


def stamps_in(names: Sequence[str]) -> int:
    """Return how many archive time stamps a container of ours with these files has."""
    number = 0
    while token(number + 1) in names:
        number += 1
    return number if ARCHIVE in names else 0


def _renewed(source: Path, target: Path, bench: Bench, now: datetime) -> Renewed:
    with source.open("rb") as original, target.open("w+b") as output:
        try:
            number = 1 + _copy(original, output, bench, now)
            return made_with(bench, number, *digest_of(output))
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            output.truncate(0)
            raise IntegrityError(f"The released container cannot be read: {error}.") from error
        except BaseException:
            output.truncate(0)
            raise


def _copy(original: BinaryIO, output: BufferedRandom, bench: Bench, now: datetime) -> int:
    """Write the files of `original` and the next archive time stamp; return how many there were."""
    container = Container(original)
    number = stamps_in(container.names)
    if not number:
        raise ConflictError(
            "The file has no archive time stamp that could be renewed.",
            code="no-archive-timestamp",
        )
    changed = {token(number): _carried_on(container.read(token(number), MAX_CMS_BYTES), bench)}
    day = (now.year, now.month, now.day, now.hour, now.minute, now.second)
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(output, "w") as new:
        named = [
            _member(old, new, entry, earlier(number), changed)
            for entry in old.infolist()
            if not entry.is_dir()
        ]
        files = [one for one in named if one.name != MIMETYPE]
        for name, content in _stamped(number + 1, files, bench).items():
            new.writestr(zipfile.ZipInfo(name, day), content)
    return number


def _carried_on(newest: bytes, bench: Bench) -> bytes:
    """Return the newest token with the evidence that it was good until now."""
    signed: cms.SignedData = load_cms(newest)
    require_gain(signed, bench)
    signer = signer_of(signed)
    if signer is None:
        raise ValueError("its newest time stamp does not carry its authority's certificate")
    others = [one.chosen for one in signed["certificates"] if one.name == "certificate"]
    return with_evidence(newest, evidence_on_newest([signer, *others], bench))


def _member(
    old: zipfile.ZipFile,
    new: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    before: str,
    changed: Mapping[str, bytes],
) -> Reference:
    """Copy one file; the newest archive manifest to the name `before`."""
    name = before if entry.filename == ARCHIVE else entry.filename
    info = zipfile.ZipInfo(name, entry.date_time)
    if name in changed:
        new.writestr(info, changed[name])
        return Reference(name, None, hashlib.sha256(changed[name]).digest())
    digest = hashlib.sha256()
    with old.open(entry) as source, new.open(info, "w", force_zip64=_is_large(entry)) as copy:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    return Reference(name, None, digest.digest())


def _is_large(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size >= 1 << 31
