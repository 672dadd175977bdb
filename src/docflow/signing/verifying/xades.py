"""XAdES in a container: signatures in XML over files, with what they say of signer and time.

Rules:
- The signature signs its own SignedProperties, and these name its certificate by digest; without
  that, whoever has a certificate for the same key could put it in.
- Every property is read from SignedProperties as canonicalised, once the signature over it is right.
- A file is signed as its bytes; a reference through a transform is refused, since it would sign
  something else than what is handed out.
- Archive timestamps and countersignatures are not judged; they take and add nothing.

Source: ETSI EN 319 132-1 (XAdES), EN 319 162-1 4.4 and annex A (ASiC), EN 319 102-1 (validation).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms as asn1_cms
from asn1crypto import x509 as asn1_x509
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from cryptography import x509
from lxml import etree

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import INDETERMINATE, SignatureReport, Strength
from docflow.signing.verifying import chain, cms, description, xmldsig
from docflow.signing.verifying.algorithms import digest_in_words
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.covered import DataObject, target, with_files
from docflow.signing.verifying.evidence import MAX_VALIDATION_OBJECTS, Carried
from docflow.signing.verifying.revocation import want, with_fetched
from docflow.signing.verifying.safexml import parse_xml
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.xmldsig import DS, Outline, Verified, XmlSignatureError

MAX_XADES_BYTES = 8 << 20
MAX_STAMPS = 16
_ROOTS = {
    "{http://uri.etsi.org/02918/v1.2.1#}XAdESSignatures",
    "{urn:oasis:names:tc:opendocument:xmlns:digitalsignature:1.0}document-signatures",
}
_XADES = "{http://uri.etsi.org/01903/v1.3.2#}"
_XADES_141 = "{http://uri.etsi.org/01903/v1.4.1#}"
_SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
_ORDER: tuple[Strength, ...] = ("weak", "unknown", "legacy", "recommended")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where things stand in a signature that was looked over."""

    outline: Outline
    properties_id: str
    unsigned: etree._Element | None
    certificate: asn1_x509.Certificate


@dataclass(frozen=True, slots=True)
class Properties:
    """What SignedProperties say.

    Attributes:
        signing_time: as the signer claims it.
        certificate: algorithm and digest of the signer's certificate; None if it is not named.
    """

    signing_time: datetime | None
    certificate: tuple[str, bytes] | None


def signatures_of(content: bytes) -> list[etree._Element]:
    """Return the signatures in a `META-INF/*signatures*.xml`.

    Raises:
        ValueError: if it is not well-formed, or holds anything else.
    """
    root = parse_xml(content, limit=MAX_XADES_BYTES, refuse_instructions=True)
    if root.tag not in _ROOTS:
        raise ValueError("its root is not XAdESSignatures")
    found = list(root)
    if not found or any(one.tag != f"{DS}Signature" for one in found):
        raise ValueError("it does not hold signatures alone")
    try:
        xmldsig.check_ids(root)
    except XmlSignatureError as error:
        raise ValueError(str(error)) from error
    return found


def judge(
    signature: etree._Element, container: Container, terms: Terms, *, name: str
) -> SignatureReport:
    """Judge one signature, with the files of the container that it names."""
    told: dict[str, Any] = {"format": "XAdES"}
    try:
        outline = xmldsig.outline(signature)
        told["covers"] = tuple(one.name for one in _files(outline.references))
        parts = _parts(signature, outline)
        told |= {
            "attributes_sha256": outline.signed_info_sha256,
            "padding_is_empty": True,  # XML has no room to hide in that was not looked over
            **judgement.describe_certificate(parts.certificate),
            **_algorithm(parts, terms, None),
        }
        verified = xmldsig.verify(signature, _public(parts.certificate))
        report = _judged(signature, parts, verified, terms, name, told)
        # those of the signed SignedInfo: what was shown above is what was there before
        return with_files(report, _files(verified.files), container, terms)
    except XmlSignatureError as error:
        return SignatureReport(
            field=name,
            indication=error.indication,
            sub_indication=error.sub_indication,
            reasons=(f"The signature is not in order: {judgement.one_line(error)}.",),
            **told,
        )
    except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
        return judgement.unjudged(name, error, told)


def _parts(signature: etree._Element, outline: Outline) -> _Parts:
    found = signature.findall(f"{DS}Object/{_XADES}QualifyingProperties")
    if len(found) != 1:
        raise xmldsig.refused(
            f"it has {len(found)} QualifyingProperties of XAdES, and must have one"
        )
    (qualifying,) = found
    identity = signature.get("Id")
    if not identity or qualifying.get("Target") != f"#{identity}":
        raise xmldsig.malformed("its QualifyingProperties are not about it")
    properties = qualifying.findall(f"{_XADES}SignedProperties")
    properties_id = properties[0].get("Id") if len(properties) == 1 else None
    if not properties_id:
        raise xmldsig.malformed("it has no SignedProperties with an Id")
    covering = [one for one in outline.references if one.kind == _SIGNED_PROPERTIES]
    if [one.uri for one in covering] != [f"#{properties_id}"]:
        raise xmldsig.refused("it does not sign its own SignedProperties")
    _check_inside(signature, outline, properties[0])
    unsigned = qualifying.find(f"{_XADES}UnsignedProperties/{_XADES}UnsignedSignatureProperties")
    named = _properties(properties[0]).certificate
    certificate = _certificate(outline, unsigned, named)
    return _Parts(outline, properties_id, unsigned, certificate)


def _check_inside(signature: etree._Element, outline: Outline, properties: etree._Element) -> None:
    """Refuse a reference to anything but the parts of this signature that may be signed."""
    parts = [properties, *signature.findall(f"{DS}KeyInfo"), *signature.findall(f"{DS}Object")]
    known = {f"#{one.get('Id')}" for one in parts if one.get("Id")}
    for one in outline.references:
        if one.inside and one.uri not in known:
            raise xmldsig.refused(f"its reference {one.uri[:100]!r} leads to no part of it")


def _certificate(
    outline: Outline, unsigned: etree._Element | None, named: tuple[str, bytes] | None
) -> asn1_x509.Certificate:
    """Return the certificate that is named, else the first that is there."""
    candidates = [*outline.certificates, *_values(unsigned, "EncapsulatedX509Certificate")]
    if not candidates:
        raise XmlSignatureError(
            INDETERMINATE, "NO_SIGNING_CERTIFICATE_FOUND", "it holds no certificate"
        )
    fitting = [one for one in candidates if named is not None and _is(one, named)]
    der = (fitting or candidates)[0]
    try:
        certificate = asn1_x509.Certificate.load(der, strict=True)
        _ = certificate.native  # asn1crypto reads lazily: let it fail here
        _public(certificate)
    except Exception as error:
        why = f"its certificate cannot be read ({judgement.one_line(error)})"
        raise xmldsig.malformed(why) from error
    return certificate


def _is(der: bytes, named: tuple[str, bytes]) -> bool:
    algorithm, digest = named
    return hashlib.new(algorithm, der).digest() == digest


def _public(certificate: asn1_x509.Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.dump())


def _properties(element: etree._Element) -> Properties:
    signed = element.findall(f"{_XADES}SignedSignatureProperties")
    if len(signed) != 1:
        raise xmldsig.malformed("it has no SignedSignatureProperties, or several")
    place = f"{_XADES}Cert/{_XADES}CertDigest"
    found = [
        one
        for version in ("SigningCertificateV2", "SigningCertificate")
        for one in signed[0].findall(f"{_XADES}{version}")
    ]
    if len(found) > 1:
        raise xmldsig.malformed("it names its certificate more than once")
    digest = found[0].find(place) if found else None
    claimed = signed[0].findtext(f"{_XADES}SigningTime")
    return Properties(_time(claimed), xmldsig.digest_of(digest) if digest is not None else None)


def _time(text: str | None) -> datetime | None:
    try:
        return judgement.aware(datetime.fromisoformat(text.strip())) if text else None
    except (ValueError, OverflowError):
        return None


def _files(references: Iterable[xmldsig.Reference]) -> tuple[DataObject, ...]:
    objects = []
    for one in references:
        if one.inside:
            continue
        if "#" in one.uri or "?" in one.uri:
            raise xmldsig.refused(f"its reference {one.uri[:100]!r} leads to a part of a file")
        try:
            objects.append(DataObject(target(one.uri), one.algorithm, one.digest))
        except ValueError as error:
            raise xmldsig.malformed(str(error)) from error
    if not objects:
        raise xmldsig.refused("it signs no file of the container")
    if len({one.name for one in objects}) != len(objects):
        raise xmldsig.malformed("it names a file twice")
    return tuple(objects)


def _judged(
    signature: etree._Element,
    parts: _Parts,
    verified: Verified,
    terms: Terms,
    name: str,
    told: dict[str, Any],
) -> SignatureReport:
    properties = _signed_properties(parts, verified)
    told["signed_at"] = properties.signing_time
    told |= {"intact": True, "valid": True}
    if properties.certificate is None:
        why = "its SignedProperties do not name its certificate"
        raise XmlSignatureError(INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", why)
    if not _is(parts.certificate.dump(), properties.certificate):
        why = "the certificate is not the one that its SignedProperties name"
        raise XmlSignatureError(INDETERMINATE, "NO_SIGNING_CERTIFICATE_FOUND", why)
    own = _carried(parts).issued_by(terms.now)
    signed = chain.Signed(
        certificate=parts.certificate,
        mechanism=parts.outline.mechanism,
        digest=parts.outline.digest,
        stamps=_stamps(signature, parts.unsigned),
        carried=with_fetched(own, terms),
    )
    outcome, stamps = blocking(chain.judged(signed, terms))
    if outcome.status is None:
        raise xmldsig.malformed(outcome.message or "its certificate cannot be judged")
    want(outcome, signed.carried, terms)
    told |= _algorithm(parts, terms, outcome.proven_at, properties)
    baseline = properties.signing_time is not None
    told |= description.facts_of(outcome, stamps, own, baseline=baseline)
    found = judgement.verdict(outcome.status, terms.own_roots, told, outcome=outcome)
    found["reasons"] = (*found["reasons"], *_unjudged(parts.unsigned))
    return SignatureReport(field=name, **{**told, **found})


def _signed_properties(parts: _Parts, verified: Verified) -> Properties:
    """Return the properties as they were signed, and not as they lie there.

    Raises:
        XmlSignatureError: if none were signed.
    """
    found = [
        one
        for one in verified.elements
        if one.tag == f"{_XADES}SignedProperties" and one.get("Id") == parts.properties_id
    ]
    if len(found) != 1:
        raise xmldsig.refused("it does not sign its own SignedProperties")
    return _properties(found[0])


def _algorithm(
    parts: _Parts,
    terms: Terms,
    proven_at: datetime | None,
    properties: Properties | None = None,
) -> dict[str, Any]:
    """Return how the signature stands: as the weakest of its key and of all digests inside."""
    outline = parts.outline
    found = description.mechanism_of(
        outline.mechanism, outline.digest, parts.certificate, terms, proven_at
    )
    inside = {one.algorithm for one in outline.references if one.inside}
    if properties is not None and properties.certificate is not None:
        inside.add(properties.certificate[0])
    for digest in inside:
        standing = terms.policy.algorithms.digest(digest, proven_at or terms.now)
        if _ORDER.index(standing.strength) < _ORDER.index(found["strength"]):
            shown = f"{found['algorithm']} with {digest_in_words(digest)} inside"
            found |= {
                "algorithm": shown,
                "strength": standing.strength,
                "algorithm_until": standing.until,
            }
    return found


def _stamps(
    signature: etree._Element, unsigned: etree._Element | None
) -> list[tuple[asn1_cms.SignedData, bytes]]:
    """Return the timestamp tokens over the signature, each with the bytes that it must stamp."""
    value = xmldsig.only(signature, "SignatureValue")
    elements = [] if unsigned is None else unsigned.findall(f"{_XADES}SignatureTimeStamp")
    tokens = [one.findall(f"{_XADES}EncapsulatedTimeStamp") for one in elements]
    if max(len(elements), sum(map(len, tokens))) > MAX_STAMPS:
        raise xmldsig.malformed(f"it holds more than {MAX_STAMPS} timestamps")
    found: list[tuple[asn1_cms.SignedData, bytes]] = []
    for element, held in zip(elements, tokens, strict=True):
        data = xmldsig.canonicalised(value, element.find(f"{DS}CanonicalizationMethod"))
        found += [(cms.load(xmldsig.decoded(one)), data) for one in held]
    return found


def _values(unsigned: etree._Element | None, name: str) -> list[bytes]:
    """Return the encapsulated values of this name, of signer and timestamps alike."""
    if unsigned is None:
        return []
    places = [unsigned, *unsigned.findall(f"{_XADES_141}TimeStampValidationData")]
    holders = (f"{_XADES}CertificateValues", f"{_XADES}RevocationValues")
    found = [
        xmldsig.decoded(one)
        for place in places
        for holder in holders
        for values in place.findall(holder)
        for one in values.iter(f"{_XADES}{name}")
    ]
    if len(found) > MAX_VALIDATION_OBJECTS:
        raise xmldsig.malformed("it carries too many certificates and revocation lists")
    return found


def _carried(parts: _Parts) -> Carried:
    certificates = [
        *parts.outline.certificates,
        *_values(parts.unsigned, "EncapsulatedX509Certificate"),
    ]
    return Carried(
        [asn1_x509.Certificate.load(one, strict=True) for one in certificates],
        [
            CertificateList.load(one, strict=True)
            for one in _values(parts.unsigned, "EncapsulatedCRLValue")
        ],
        [
            OCSPResponse.load(one, strict=True)
            for one in _values(parts.unsigned, "EncapsulatedOCSPValue")
        ],
    )


def _unjudged(unsigned: etree._Element | None) -> list[str]:
    """Return a sentence for each kind of property that is there and not judged."""
    if unsigned is None:
        return []
    kinds = {
        f"{_XADES}CounterSignature": "It was countersigned; countersignatures are not judged.",
        f"{_XADES_141}ArchiveTimeStamp": "It has archive timestamps, which are not judged.",
    }
    return [sentence for tag, sentence in kinds.items() if unsigned.find(tag) is not None]
