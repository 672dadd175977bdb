"""Sign a PDF as a person, then seal it as the organisation: PAdES baseline B-B to B-LTA.

Rules, in this order and no other:
1. The personal signature comes first. Its update adds both signature fields, `Person` and `Seal`; the
   seal's field carries the lock (all fields, no changes) that its signature will put in force. The
   personal signature certifies the document and admits form filling: the seal.
2. The seal comes last and covers every byte. After it nothing may change but archive time stamps.
3. What comes out here is not yet released: `strict.validate_release` judges it first.

Both are incremental updates, so the signed bytes of the person stay as they were. Files of 100 MB pass
through in bounded memory.

Source: ISO 32000-2, 12.8; ETSI EN 319 142-1 (B-B: no signing-time attribute, the time is /M).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import (
    FieldMDPAction,
    FieldMDPSpec,
    MDPPerm,
    SigFieldSpec,
    SigSeedSubFilter,
    append_signature_field,
    enumerate_sig_fields,
)
from pyhanko.sign.signers import PdfSignatureMetadata

from docflow.kernel.errors import ConflictError
from docflow.signing.appearance import Drawn, Look, Looks, Spot, spots
from docflow.signing.embedding import Embedded, sign_into
from docflow.signing.identity import Kind, SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.longterm import LongTerm
from docflow.signing.stampfacts import StampFacts

PERSON_FIELD = "Person"
SEAL_FIELD = "Seal"
_Facts = tuple[str, int, str, str, datetime, Level, str | None, datetime | None, StampFacts | None]


@dataclass(frozen=True, slots=True)
class PersonSigned:
    """A file with the personal signature on it, not yet sealed; `stamped_at` is what `authority` says."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime
    level: Level = "B-B"
    authority: str | None = None
    stamped_at: datetime | None = None
    stamp: StampFacts | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file with both signatures on it, not yet judged; `stamped_at` is what `authority` says."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime
    level: Level = "B-B"
    authority: str | None = None
    stamped_at: datetime | None = None
    stamp: StampFacts | None = None


def sign_person(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    looks: Looks | None = None,
) -> PersonSigned:
    """Write `source`, signed by a person, to `target`; `looks` is what both signatures will show.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be signed as it is; `stamp-anchor` or
            `stamp-text` for looks that cannot be put there.
        ConflictError: code `already-signed` if it carries signature fields; and as `sign_into`.
        ValueError: if `identity` is not a person's, `now` has no offset, or the level is B-LTA.
    """
    _require(identity, "person", now)
    if level == "B-LTA":
        raise ValueError("the archive time stamp comes after the seal, not before it")
    made = sign_into(
        source, target, identity, person_metadata(identity, reason, location),
        prepare=lambda writer: add_fields(writer, looks), now=now, level=level, longterm=longterm,
        style=person_style(looks),
    )  # fmt: skip
    return PersonSigned(target, *_facts(made, identity, now))


def seal(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    look: Look | None = None,
) -> Sealed:
    """Write `source`, which a person signed here, to `target` with the organisation's seal on it.

    `look` is what the seal shows, where the person's update has given it a place.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be sealed as it is.
        ConflictError: code `not-signed` if the personal signature or the seal's field is missing,
            `already-sealed` if the seal is there; and as `sign_into`.
        ValueError: if `identity` is not an organisation's, or `now` has no offset.
    """
    _require(identity, "organisation", now)

    def prepare(writer: IncrementalPdfFileWriter) -> None:
        fields = {name: value is not None for name, value, _ in enumerate_sig_fields(writer.prev)}
        if fields == {PERSON_FIELD: True, SEAL_FIELD: False}:
            return
        if fields.get(SEAL_FIELD):
            raise ConflictError("The file already carries the seal.", code="already-sealed")
        raise ConflictError(
            "Only a file with one personal signature made here can be sealed; this one has "
            f"{', '.join(sorted(fields)) or 'no signature field'}.",
            code="not-signed",
        )

    metadata = PdfSignatureMetadata(
        field_name=SEAL_FIELD,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        reason=reason,
        location=location,
        name=identity.name,
    )
    made = sign_into(
        source, target, identity, metadata,
        prepare=prepare, now=now, level=level, longterm=longterm, style=Drawn(look=look),
    )  # fmt: skip
    return Sealed(target, *_facts(made, identity, now))


def _facts(made: Embedded, identity: SignerIdentity, now: datetime) -> _Facts:
    return (
        made.sha256,
        made.size_bytes,
        identity.name,
        identity.sha256,
        now,
        made.level,
        made.authority,
        made.stamped_at,
        made.stamp,
    )


def person_metadata(
    identity: SignerIdentity, reason: str | None, location: str | None
) -> PdfSignatureMetadata:
    """Return what a personal signature says of itself: it certifies, and admits form filling."""
    return PdfSignatureMetadata(
        field_name=PERSON_FIELD,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS,
        reason=reason,
        location=location,
        name=identity.name,
    )


def person_style(looks: Looks | None) -> Drawn:
    """Return what draws the personal signature's field, if it is visible."""
    return Drawn(look=looks.person if looks else None)


def add_fields(writer: IncrementalPdfFileWriter, looks: Looks | None = None) -> None:
    """Add the fields of both signatures to a file that has none; `looks` gives them their places.

    Raises:
        ConflictError: code `already-signed` if it has any.
        InvalidInputError: code `stamp-anchor` or `stamp-text` for looks that cannot be put there.
    """
    if any(True for _ in enumerate_sig_fields(writer.prev)):
        raise ConflictError(
            "The file already has signature fields; the personal signature must be the first.",
            code="already-signed",
        )
    person, seal_ = spots(writer.prev, looks)
    append_signature_field(writer, SigFieldSpec(PERSON_FIELD, **_placed(person)))
    lock = FieldMDPSpec(FieldMDPAction.ALL)
    append_signature_field(
        writer,
        # without field_mdp_spec pyHanko silently leaves the lock out
        SigFieldSpec(
            SEAL_FIELD,
            field_mdp_spec=lock,
            doc_mdp_update_value=MDPPerm.NO_CHANGES,
            **_placed(seal_),
        ),
    )


def _placed(spot: Spot | None) -> dict[str, Any]:
    return {} if spot is None else {"on_page": spot.page, "box": spot.box}


def _require(identity: SignerIdentity, kind: Kind, now: datetime) -> None:
    if identity.kind != kind:
        raise ValueError(f"{identity!r} cannot sign as {kind}")
    if now.tzinfo is None:
        raise ValueError("the signing time needs an offset")
