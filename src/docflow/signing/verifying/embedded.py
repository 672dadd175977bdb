"""One signature or document timestamp inside a PDF: integrity, what came after it, and its evidence.

Rules:
- What may follow a signature is decided by the terms, never by the signer alone.
- A document timestamp that a later, good one covers is judged at the instant which that one proves.

Source: ETSI EN 319 142-1, EN 319 102-1 5.6.3; ISO 32000-2 12.8.
"""

import dataclasses
from datetime import datetime
from typing import Any

from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import (
    EmbeddedPdfSignature,
    report_seed_value_validation,
)
from pyhanko.sign.validation.status import (
    DocumentTimestampStatus,
    PdfSignatureStatus,
)

from docflow.signing.verifying.evidence import Carried, Outcome
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import judged_cms, judged_stamp

_FORMATS = {
    SigSeedSubFilter.ADOBE_PKCS7_DETACHED.value,
    SigSeedSubFilter.PADES.value,
    SigSeedSubFilter.PBAD_PADES.value,
}


async def judged_signature(
    embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms, archived: datetime | None
) -> Outcome:
    """Judge a signature, at the instant `archived` if a document timestamp proves that it existed then.

    Raises:
        SignatureValidationError: if it is of a format that is not known, or broken.
    """
    named = embedded.sig_object.get("/SubFilter", None)
    if named not in _FORMATS:
        raise SignatureValidationError(
            f"{named} is not a recognized SubFilter type in signatures.",
            ades_subindication=AdESIndeterminate.GENERIC,
        )
    _compare(embedded, terms)
    outcome = await judged_cms(
        embedded.signed_data, embedded.compute_digest(), carried, terms, archived
    )
    status = _in_pdf(outcome, embedded, PdfSignatureStatus)
    seed = report_seed_value_validation(embedded, status.validation_path, outcome.stamped)
    return dataclasses.replace(outcome, status=dataclasses.replace(status, **seed))


async def judged_timestamp(
    embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms, at: datetime
) -> Outcome:
    """Judge a document timestamp at the instant `at`.

    Raises:
        SignatureValidationError: if it is of a format that is not known, or broken.
    """
    named = embedded.sig_object.get("/SubFilter", None)
    if named != SigSeedSubFilter.ETSI_RFC3161.value:
        raise SignatureValidationError(
            f"{named} is not a recognized SubFilter type for timestamps.",
            ades_subindication=AdESIndeterminate.GENERIC,
        )
    _compare(embedded, terms)
    outcome = await judged_stamp(
        embedded.signed_data, lambda _: bytes(embedded.compute_digest()), carried, terms, at
    )
    status = _in_pdf(outcome, embedded, DocumentTimestampStatus)
    return dataclasses.replace(outcome, status=status)


def _compare(embedded: EmbeddedPdfSignature, terms: Terms) -> None:
    embedded.compute_integrity_info(  # type: ignore[no-untyped-call]
        diff_policy=terms.diff_policy
    )


def _in_pdf(outcome: Outcome, embedded: EmbeddedPdfSignature, status_cls: type[Any]) -> Any:
    """Return the status with what the PDF adds: pyHanko's processes know that of CMS alone.

    Raises:
        SignatureValidationError: if there is no status.
    """
    if outcome.status is None:
        raise SignatureValidationError(
            outcome.message or "It cannot be validated.",
            ades_subindication=outcome.sub_indication,
        )
    found = {
        one.name: getattr(outcome.status, one.name)
        for one in dataclasses.fields(outcome.status)
        if one.init
    }
    known = {one.name for one in dataclasses.fields(status_cls)}
    added = {k: v for k, v in embedded.summarise_integrity_info().items() if k in known}
    return status_cls(**{**found, **added})
