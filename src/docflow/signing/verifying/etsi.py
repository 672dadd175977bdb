"""The signature validation report of ETSI TS 119 102-2, as XML that other programs read.

Rules:
- It says what the `VerificationReport` says, in the order of the standard's schema.
- Certificates are named by their SHA-256; their bytes are in the file that was verified.
- A file without signatures has one report, `indeterminate`, that gives the reason.

Source: ETSI TS 119 102-2 v1.4.1, namespace v1.2.1; EN 319 102-1 (indications).
"""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime

from lxml import etree

from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    NOT_SIGNED,
    PASSED,
    CertificateReport,
    Indication,
    SignatureReport,
    VerificationReport,
)

MEDIA_TYPE = "application/xml"
_VR = "http://uri.etsi.org/19102/v1.2.1#"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_XS = "http://www.w3.org/2001/XMLSchema"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_URN = "urn:etsi:019102:"
_MAIN: dict[Indication, str] = {
    PASSED: "total-passed",
    FAILED: "total-failed",
    INDETERMINATE: "indeterminate",
    NOT_SIGNED: "indeterminate",
}
_REASON = "urn:docflow:reason"
_LEVEL = "urn:docflow:level:"
_PROCESS = {"none": "Basic", "B-B": "Basic", "B-T": "LTVM", "B-LT": "LTVM", "B-LTA": "LTA"}


def etsi_xml(report: VerificationReport) -> bytes:
    """Return the report as UTF-8 XML."""
    root = etree.Element(
        _vr("ValidationReport"), nsmap={"vr": _VR, "ds": _DS, "xsi": _XSI, "xs": _XS}
    )
    certificates: dict[str, CertificateReport] = {}
    for one in report.signatures:
        certificates.update((each.sha256, each) for each in one.path)
        _signature(root, one, report)
    if not report.signatures:
        _nothing(root, report)
    if certificates:
        objects = etree.SubElement(root, _vr("SignatureValidationObjects"))
        for digest in certificates:
            _object(objects, digest)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _signature(root: etree._Element, one: SignatureReport, report: VerificationReport) -> None:
    part = etree.SubElement(root, _vr("SignatureValidationReport"))
    identifier = etree.SubElement(part, _vr("SignatureIdentifier"))
    if one.attributes_sha256 is not None:
        _digest(identifier, one.attributes_sha256)
    _text(identifier, "HashOnly", "false")
    _text(identifier, "DocHashOnly", "false")
    _times(part, one.proven_at, report.verified_at)
    if report.sha256 is not None:
        _digest(etree.SubElement(part, _vr("SignersDocument")), report.sha256)
    _attributes(part, one)
    if one.certificate_sha256 is not None:
        signer = etree.SubElement(part, _vr("SignerInformation"))
        _refer(signer, "SignerCertificate", one.certificate_sha256)
        _text(signer, "Signer", one.subject or "")
    quality = etree.SubElement(part, _vr("SignatureQuality"))
    _text(quality, "SignatureQualityInformation", _LEVEL + one.level)
    process = etree.SubElement(part, _vr("SignatureValidationProcess"))
    name = "urn:etsi:019102:validationprocess:" + _PROCESS[one.level]
    _text(process, "SignatureValidationProcessID", name)
    _status(part, one.indication, one.sub_indication, one.reasons, one)


def _nothing(root: etree._Element, report: VerificationReport) -> None:
    part = etree.SubElement(root, _vr("SignatureValidationReport"))
    _times(part, None, report.verified_at)
    if report.sha256 is not None:
        _digest(etree.SubElement(part, _vr("SignersDocument")), report.sha256)
    _status(part, report.indication, report.sub_indication, report.reasons, None)


def _times(part: etree._Element, proven: datetime | None, now: datetime) -> None:
    times = etree.SubElement(part, _vr("ValidationTimeInfo"))
    _text(times, "ValidationTime", _instant(now))
    best = etree.SubElement(times, _vr("BestSignatureTime"))
    _text(best, "POETime", _instant(proven or now))
    _text(best, "TypeOfProof", _URN + "poetype:validation")


def _attributes(part: etree._Element, one: SignatureReport) -> None:
    attributes = etree.Element(_vr("SignatureAttributes"))
    if one.signed_at is not None and one.kind == "signature":
        claimed = etree.SubElement(attributes, _vr("SigningTime"), Signed="true")
        _text(claimed, "Time", _instant(one.signed_at))
    for stamp in one.timestamps:
        if stamp.kind == "signature" and stamp.at is not None:
            element = etree.SubElement(attributes, _vr("SignatureTimeStamp"), Signed="false")
            _text(element, "TimeStampValue", _instant(stamp.at))
    if one.claimed_reason:
        reason = etree.SubElement(attributes, _vr("Reason"), Signed="true")
        _text(reason, "ReasonElement", one.claimed_reason)
    if len(attributes):
        part.append(attributes)


def _status(
    part: etree._Element,
    indication: Indication,
    sub_indication: str | None,
    reasons: Iterable[str],
    one: SignatureReport | None,
) -> None:
    status = etree.SubElement(part, _vr("SignatureValidationStatus"))
    _text(status, "MainIndication", f"{_URN}mainindication:{_MAIN[indication]}")
    if sub_indication is not None:
        _text(status, "SubIndication", f"{_URN}subindication:{sub_indication}")
    data = etree.Element(_vr("AssociatedValidationReportData"))
    if one is not None and one.path:
        _chain(data, one)
    if one is not None and one.certificate_sha256 and one.algorithm and one.path:
        _algorithm(data, one)
    _reasons(data, reasons)
    if len(data):
        status.append(data)


def _chain(data: etree._Element, one: SignatureReport) -> None:
    _refer(data, "TrustAnchor", one.path[0].sha256)
    chain = etree.SubElement(data, _vr("CertificateChain"))
    _refer(chain, "SigningCertificate", one.path[-1].sha256)
    for certificate in reversed(one.path[1:-1]):
        _refer(chain, "IntermediateCertificate", certificate.sha256)
    _refer(chain, "TrustAnchor", one.path[0].sha256)


def _algorithm(data: etree._Element, one: SignatureReport) -> None:
    crypto = etree.SubElement(data, _vr("CryptoInformation"))
    _refer(crypto, "ValidationObjectId", one.path[-1].sha256)
    _text(crypto, "Algorithm", "urn:docflow:algorithm:" + (one.algorithm or "").replace(" ", "_"))
    _text(crypto, "SecureAlgorithm", "false" if one.strength == "weak" else "true")
    if one.algorithm_until is not None:
        end = one.algorithm_until
        _text(crypto, "NotAfter", _instant(datetime(end.year, end.month, end.day, tzinfo=UTC)))


def _reasons(data: etree._Element, reasons: Iterable[str]) -> None:
    listed = list(reasons)
    if not listed:
        return
    more = etree.SubElement(data, _vr("AdditionalValidationReportData"))
    for reason in listed:
        entry = etree.SubElement(more, _vr("ReportData"))
        _text(entry, "Type", _REASON)
        value = _text(entry, "Value", reason)
        value.set(f"{{{_XSI}}}type", "xs:string")


def _object(objects: etree._Element, digest: str) -> None:
    one = etree.SubElement(objects, _vr("ValidationObject"), id=_id(digest))
    _text(one, "ObjectType", _URN + "validationObject:certificate")
    _digest(etree.SubElement(one, _vr("ValidationObjectRepresentation")), digest)


def _digest(parent: etree._Element, hexadecimal: str) -> None:
    both = etree.SubElement(parent, _vr("DigestAlgAndValue"))
    etree.SubElement(both, f"{{{_DS}}}DigestMethod", Algorithm=_SHA256)
    value = etree.SubElement(both, f"{{{_DS}}}DigestValue")
    value.text = base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _refer(parent: etree._Element, name: str, digest: str) -> None:
    etree.SubElement(parent, _vr(name), VOReference=_id(digest))


def _text(parent: etree._Element, name: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, _vr(name))
    # XML has no place for most control characters, and a stranger may have written one
    element.text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return element


def _id(digest: str) -> str:
    return f"cert-{digest}"


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _vr(name: str) -> str:
    return f"{{{_VR}}}{name}"
