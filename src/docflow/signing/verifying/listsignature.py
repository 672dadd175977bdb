"""The signature of a trusted list: only what a configured scheme operator signed is read.

Rules:
- Whoever signs a list must be named by certificate beforehand; no chain is followed, as TS 119 612
  and the EU's own lists do it.
- The list is read as it was signed: canonicalised, without the signature inside.

Source: ETSI TS 119 612 v2 5.7 and annex B (signature of a trusted list), EN 319 132-1.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from docflow.kernel.clock import parse_rfc3339
from docflow.signing.verifying import xmldsig
from docflow.signing.verifying.safexml import parse_xml
from docflow.signing.verifying.xmldsig import DS, Outline, XmlSignatureError

TSL = "{http://uri.etsi.org/02231/v2#}"
ROOT = f"{TSL}TrustServiceStatusList"
_BROKEN = {"sha1"}


class NotSignedByOperatorError(ValueError):
    """A list without a signature, or with that of somebody who is not configured."""


def signed_list(
    content: bytes, operators: Sequence[x509.Certificate], limit: int
) -> etree._Element:
    """Return the root of a list as one of the operators signed it.

    Raises:
        NotSignedByOperatorError: if it bears no signature, or somebody else's.
        ValueError: if the signature is broken, or what it signs is not the list.
    """
    if parse_xml(content, limit=limit).find(f"{DS}Signature") is None:
        raise NotSignedByOperatorError("it bears no signature")
    if not operators:
        raise NotSignedByOperatorError("no scheme operator is configured")
    root = parse_xml(content, limit=limit, refuse_instructions=True)
    found = root.findall(f"{DS}Signature")
    if len(found) > 1:
        raise ValueError("it bears several signatures")
    try:
        return _checked(root, xmldsig.outline(found[0], enveloped=True), operators)
    except XmlSignatureError as error:
        raise ValueError(f"its signature is not in order: {error}") from error


def _checked(
    root: etree._Element, outline: Outline, operators: Sequence[x509.Certificate]
) -> etree._Element:
    if {outline.digest, *(one.algorithm for one in outline.references)} & _BROKEN:
        raise ValueError("its signature uses SHA-1, which is broken")
    candidates = _candidates(outline, operators)
    for position, one in enumerate(candidates, start=1):
        try:
            verified = xmldsig.verify(root, one)
            break
        except XmlSignatureError as error:
            # without a certificate in it, the key that fits is found by trying
            if position == len(candidates) or error.sub_indication == "HASH_FAILURE":
                raise
    lists = [each for each in verified.elements if each.tag == ROOT]
    if len(lists) != 1 or verified.files:
        raise ValueError("its signature does not sign the list")
    _check_validity(one, lists[0])
    return lists[0]


def _candidates(outline: Outline, operators: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    if not outline.certificates:
        found = list(operators)
    else:
        held = set(outline.certificates)
        found = [one for one in operators if one.public_bytes(Encoding.DER) in held]
    if not found:
        raise NotSignedByOperatorError("none of the configured scheme operators signed it")
    return found


def _check_validity(certificate: x509.Certificate, root: etree._Element) -> None:
    text = root.findtext(f"{TSL}SchemeInformation/{TSL}ListIssueDateTime")
    issued: datetime | None = parse_rfc3339(text.strip()) if text else None
    if issued is None:
        raise ValueError("it does not say when it was issued")
    if not certificate.not_valid_before_utc <= issued <= certificate.not_valid_after_utc:
        raise ValueError("the operator's certificate was not valid when it was issued")
