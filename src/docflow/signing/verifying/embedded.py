"""One signature or document timestamp inside a PDF: integrity, what came after it, and its evidence.

Rules:
- What may follow a signature is decided by the terms, never by the signer alone.
- A document timestamp that a later, good one covers is judged at the instant which that one proves.

Source: ETSI EN 319 142-1, EN 319 102-1 5.6.3; ISO 32000-2 12.8.
"""

import dataclasses
from datetime import datetime
from typing import Any

from pyhanko.pdf_utils.generic import DictionaryObject
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import (
    EmbeddedPdfSignature,
    async_validate_pdf_timestamp,
    report_seed_value_validation,
)
from pyhanko.sign.validation.policy_decl import PdfSignatureValidationSpec
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator.policy_decl import RevocationCheckingPolicy

from docflow.signing.verifying import evidence
from docflow.signing.verifying.algorithms import DatedAlgorithms
from docflow.signing.verifying.evidence import Carried, Outcome
from docflow.signing.verifying.terms import Terms

# How much of its page a signature field may cover that was put there after an earlier signature.
MAX_LATER_FIELD_SHARE = 0.2
_FORMATS = {
    SigSeedSubFilter.ADOBE_PKCS7_DETACHED.value,
    SigSeedSubFilter.PADES.value,
    SigSeedSubFilter.PBAD_PADES.value,
}


async def judged_signature(
    embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms, *, archived: bool
) -> Outcome:
    """Judge a signature.

    Args:
        embedded: the signature.
        carried: the validation data of the file.
        terms: the terms.
        archived: whether a good document timestamp covers it.

    Raises:
        SignatureValidationError: if it is of a format that is not known, or broken.
    """
    named = embedded.sig_object.get("/SubFilter", None)
    if named not in _FORMATS:
        raise SignatureValidationError(
            f"{named} is not a recognized SubFilter type in signatures.",
            ades_subindication=AdESIndeterminate.GENERIC,
        )
    embedded.compute_integrity_info(diff_policy=terms.diff_policy)  # type: ignore[no-untyped-call]
    outcome = await (_archived if archived else _plain)(embedded, carried, terms)
    status = outcome.status
    if status is None:
        raise SignatureValidationError(
            outcome.message or "The signature cannot be validated.",
            ades_subindication=outcome.sub_indication,
        )
    stamp = status.timestamp_validity
    found = stamp is not None and stamp.valid and stamp.trusted
    for name, value in report_seed_value_validation(
        embedded, status.validation_path, found
    ).items():
        object.__setattr__(status, name, value)
    return outcome


async def _plain(embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms) -> Outcome:
    outcome = await evidence.judged_cms(
        embedded.signed_data, embedded.compute_digest(), carried, terms
    )
    status = outcome.status
    if status is None:
        return outcome
    # pyHanko's basic process knows no other status than that of CMS: the PDF's own is added here
    found = {one.name: getattr(status, one.name) for one in dataclasses.fields(status) if one.init}
    return dataclasses.replace(
        outcome, status=PdfSignatureStatus(**{**found, **embedded.summarise_integrity_info()})
    )


async def _archived(embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms) -> Outcome:
    async def once(checking: RevocationCheckingPolicy) -> Any:
        return await ades_lta_validation(
            embedded,
            PdfSignatureValidationSpec(
                evidence.specification(terms, carried, checking), diff_policy=terms.diff_policy
            ),
            timing_info=evidence.timing(terms.now),
        )

    outcome = await evidence.tried(once, terms, carried)
    # What needs no past proof passes by the plain process; the long-term one is for what does.
    return outcome if outcome.passed else await _plain(embedded, carried, terms)


async def judged_timestamp(
    embedded: EmbeddedPdfSignature, carried: Carried, terms: Terms, at: datetime
) -> Any:
    """Judge a document timestamp at the instant `at`; return pyHanko's status."""
    context = (terms.roots + terms.policy.timestamp_roots).validation_context(
        at,
        carried.certificates,
        algorithms=DatedAlgorithms(terms.policy.algorithms, at),
        revocation_mode="soft-fail",
    )
    return await async_validate_pdf_timestamp(embedded, context, diff_policy=terms.diff_policy)


def covers_too_much(embedded: EmbeddedPdfSignature, since: int) -> str | None:
    """Tell in a sentence if a signature field that came after revision `since` hides the page.

    A later signature brings a picture with it; one that covers the page shows another document.
    """
    if embedded.signed_revision <= since or _old_field(embedded, since):
        return None
    field = embedded.sig_field
    for widget in [field, *(one.get_object() for one in field.get("/Kids", ()))]:
        share = _share(widget)
        if share > MAX_LATER_FIELD_SHARE:
            return (
                f"The later signature {embedded.field_name} covers {share:.0%} of a page, and at most "
                f"{MAX_LATER_FIELD_SHARE:.0%} may be covered by one that was added after signing."
            )
    return None


def _old_field(embedded: EmbeddedPdfSignature, since: int) -> bool:
    """Tell whether the field, with its place on the page, was there in revision `since`."""
    reader = embedded.reader.get_historical_resolver(since)
    reference = getattr(embedded.sig_field, "container_ref", None)
    return reference is not None and not reader.is_ref_unassignable(reference)


def _share(widget: DictionaryObject) -> float:
    """Return what part of its page a widget covers; without a page, of A4."""
    rectangle = [float(one) for one in widget.get("/Rect", (0, 0, 0, 0))]
    page = widget.get("/P", None)
    box = [float(one) for one in page.get("/MediaBox", ())] if page is not None else []
    if len(box) != 4:  # noqa: PLR2004 - a rectangle
        box = [0, 0, 595, 842]
    area = abs((box[2] - box[0]) * (box[3] - box[1])) or 1.0
    return abs((rectangle[2] - rectangle[0]) * (rectangle[3] - rectangle[1])) / area
