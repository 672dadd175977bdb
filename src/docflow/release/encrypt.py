"""The step `encrypted` of a release: what a sealed document's recipients get.

Rules:
- Only a `SignedFile` is encrypted, and of a sealed document only what was encrypted is delivered.
- For each recipient, all files are encrypted and stored, then recorded in one transaction with their
  history entry. The first record counts, although encryption is random: what a second run made is
  left to the sweeper.
- Recipients are asked for their certificates again here; one whose certificate went bad since the
  release was asked for stops it, by name.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import sqlalchemy as sa

from docflow.db import Draft, Row, all_rows
from docflow.documents import rows
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import IntegrityError
from docflow.kernel.ids import new_id
from docflow.release import studio as work
from docflow.release.studio import Studio
from docflow.release.tables import delivery_files
from docflow.signing.certificates import EncryptionCertificate
from docflow.signing.encrypted import EncryptedFile, encrypt_signed
from docflow.signing.strict import SignedFile
from docflow.storage import StagedFile, content_key

MEDIA_TYPE = "application/pkcs7-mime; smime-type=authEnveloped-data"
STEP = "encrypted"


@dataclass(frozen=True, slots=True)
class _Made:
    """A sealed file of the job, what it became for one recipient, and where that is staged."""

    source: Row
    encrypted: EncryptedFile
    staged: StagedFile


def encrypt_all(
    studio: Studio,
    document_id: str,
    job_id: str,
    sealed: Sequence[Row],
    proven: Sequence[SignedFile],
) -> int:
    """Encrypt every file to every recipient of a sealed document; return how many files are recorded.

    Args:
        studio: the room's tools.
        document_id: the document; of one that is not sealed, nothing is encrypted.
        job_id: the release job.
        sealed: what its step `sealed` recorded.
        proven: the same files, validated.

    Raises:
        ConflictError: if someone cannot be encrypted to (codes `recipient-certificate`,
            `recovery-certificate`), or the document no longer waits for this job.
        IntegrityError: if what was validated is not what was sealed.
    """
    desk = studio.desk
    now = desk.database.clock.now()
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
        if not desk.catalogue.is_sealed(row["classification"]):
            return 0
        everyone = rows.recipient_ids(connection, document_id)
        openers = desk.openers.usable(connection, everyone, now)
        there = recorded(connection, job_id)
    recovery = desk.openers.recovery(now)
    require_same(sealed, proven)
    for recipient_id in everyone:
        if recipient_id not in there:
            opener = openers[recipient_id]
            made = [
                _encrypt(studio, source, signed, opener, recovery)
                for source, signed in zip(sealed, proven, strict=True)
            ]
            _record(studio, document_id, job_id, recipient_id, made)
    return len(everyone) * len(sealed)


def require_same(sealed: Sequence[Row], proven: Sequence[SignedFile]) -> None:
    """Check that what was validated is what was sealed, file by file.

    Raises:
        IntegrityError: if it is not.
    """
    if [item["sha256"] for item in sealed] != [file.sha256 for file in proven]:
        raise IntegrityError("What was validated is not what was sealed; nothing was delivered.")


def recorded(connection: sa.Connection, job_id: str) -> dict[str, list[Row]]:
    """Return what a job encrypted, by recipient, the main file first."""
    table = delivery_files
    found: dict[str, list[Row]] = defaultdict(list)
    statement = sa.select(table).where(table.c.job_id == job_id)
    for row in all_rows(connection, statement.order_by(table.c.position, table.c.id)):
        found[row["recipient_id"]].append(row)
    return dict(found)


def require_whole(
    encrypted: Mapping[str, Sequence[Row]], everyone: Sequence[str], proven: Sequence[SignedFile]
) -> None:
    """Check that every recipient gets every file, encrypted, and nobody else anything.

    Raises:
        IntegrityError: if not; nothing is delivered then.
    """
    digests = sorted(file.sha256 for file in proven)
    whole = all(
        sorted(row["signed_sha256"] for row in encrypted.get(one, ())) == digests
        for one in everyone
    )
    if not whole or set(encrypted) != set(everyone):
        raise IntegrityError(
            "Not every file of this confidential document is encrypted to every recipient; nothing was "
            "delivered.",
            code="not-encrypted",
            satisfied_by="Release the document again.",
        )


def open_file(studio: Studio, row: Row) -> BinaryIO:
    """Open the plaintext of a stored file for reading; the caller closes it."""
    return studio.desk.vault.open(row)


def _encrypt(
    studio: Studio,
    source: Row,
    signed: SignedFile,
    opener: EncryptionCertificate,
    recovery: EncryptionCertificate | None,
) -> _Made:
    path = studio.desk.staging.new_path()
    try:
        with open_file(studio, source) as plain, path.open("xb") as target:
            encrypted = encrypt_signed(signed, plain, target, opener, recovery)
        return _Made(source, encrypted, studio.desk.staging.adopt(path))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _record(
    studio: Studio, document_id: str, job_id: str, recipient_id: str, made: Sequence[_Made]
) -> None:
    """Store what was encrypted to one recipient and record it, once."""
    for item in made:
        studio.desk.store.put(content_key(item.encrypted.facts.sha256), item.staged)
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        if recipient_id in recorded(uow.connection, job_id):
            return
        work.require_waiting(row, job_id)
        common = {
            "job_id": job_id,
            "delivery_id": new_id(),
            "document_id": document_id,
            "recipient_id": recipient_id,
            "created_at": uow.now,
        }
        uow.put(delivery_files, *({**common, **_columns(row, item)} for item in made))
        uow.change(documents, row, {"stage": STEP}, _entry(common, made))


def _columns(row: Row, made: _Made) -> dict[str, Any]:
    encrypted = made.encrypted
    return {
        "id": new_id(),
        "file_id": made.source["file_id"],
        "role": made.source["role"],
        "position": made.source["position"],
        "name": _name_of(row, made.source),
        "storage_key": content_key(encrypted.facts.sha256),
        "size": encrypted.facts.size,
        "sha256": encrypted.facts.sha256,
        "signed_sha256": encrypted.signed_sha256,
        "certificate_sha256": encrypted.certificate_sha256,
        "recovery_sha256": encrypted.recovery_sha256,
        "encryption": encrypted.facts.as_json(),
    }


def _name_of(row: Row, source: Row) -> str:
    own = source["evidence"].get("name")  # of what a step named itself: a container
    return f"{own}.p7m" if own else safe_name(row["symbol"], source["position"])


def _entry(common: Mapping[str, Any], made: Sequence[_Made]) -> Draft:
    told: dict[str, Any] = {
        "job": common["job_id"],
        "recipient_id": common["recipient_id"],
        "delivery_id": common["delivery_id"],
        "certificate_sha256": made[0].encrypted.certificate_sha256,
        "files": [
            {
                "origin": item.source["file_id"],
                "signed_sha256": item.encrypted.signed_sha256,
                "sha256": item.encrypted.facts.sha256,
                "size": item.encrypted.facts.size,
            }
            for item in made
        ],
    }
    if (recovery := made[0].encrypted.recovery_sha256) is not None:
        told["recovery_sha256"] = recovery
    return Draft("document.encrypted", told)


def safe_name(symbol: str | None, position: int) -> str:
    """Return what an encrypted file is called: `15-QD-VP.pdf.p7m`, an annex `15-QD-VP-1.pdf.p7m`.

    It says the symbol, which a register shows; the names of the files themselves are content.
    """
    stem = safe_stem(symbol)
    return f"{stem}-{position}.pdf.p7m" if position else f"{stem}.pdf.p7m"


def safe_stem(symbol: str | None) -> str:
    """Return a symbol in letters that every file system takes: `15-QD-VP`."""
    text = unicodedata.normalize("NFKD", (symbol or "document").replace("đ", "d").replace("Đ", "D"))
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text if not _is_mark(c))
    return "-".join(part for part in plain.split("-") if part) or "document"


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) != 0
