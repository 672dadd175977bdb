"""Evidence inside a SignedData: certificates, OCSP answers and CRLs beside the signers.

None of it is signed, so it may be added after the signature: that is how CAdES reaches B-LT, and how a
time-stamp token is made ready for the next one over it.

Source: RFC 5652, 5.1 (the sets, and which version they make it); RFC 5940, 2.1 (OCSP answers);
ETSI EN 319 122-1, 6 (B-LT); EN 319 162-1, A.7 (tokens).
"""

from collections.abc import Iterable
from typing import Any

from asn1crypto import cms
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter

from docflow.kernel.errors import IntegrityError
from docflow.signing.outside.revocation import Evidence
from docflow.signing.outside.timestamps import signer_of
from docflow.signing.standing import Chain


def with_evidence(der: bytes, evidence: Evidence) -> bytes:
    """Return a SignedData with evidence added, each thing once.

    Raises:
        ValueError: if `der` is no SignedData.
    """
    whole = _loaded(der)
    certificates = [cms.CertificateChoices({"certificate": one}) for one in evidence.certificates]
    lists = [cms.RevocationInfoChoice({"crl": one}) for one in evidence.crls]
    answers = [
        cms.RevocationInfoChoice(
            {"other": {"other_rev_info_format": "ocsp_response", "other_rev_info": one}}
        )
        for one in evidence.ocsps
    ]
    _add(whole["content"], certificates, [*lists, *answers])
    return bytes(whole.dump())


def chains_in(der: bytes) -> list[Chain]:
    """Return, for every signer and time stamp in a signature file, its certificate and those with it.

    Raises:
        IntegrityError: code `signature-not-valid` if `der` is no signature file.
    """
    found: list[Chain] = []
    try:
        signed = _loaded(der)["content"]
        for signer in signed["signer_infos"]:
            alone = signed.copy()
            alone["signer_infos"] = cms.SignerInfos([signer])
            for one in (alone, *extract_tst_data_iter(signer, signed=False)):
                certificate = signer_of(one)
                if certificate is not None:
                    others = (c.chosen for c in one["certificates"] if c.name == "certificate")
                    found.append([certificate, *others])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            "A signature file of the container is none.", code="signature-not-valid"
        ) from error
    return list({chain[0].sha256: chain for chain in found}.values())


def joined(others: bytes, own: bytes) -> bytes:
    """Return one SignedData with the signers of both: each over the same file, none over another.

    Raises:
        IntegrityError: code `signature-not-valid` if `others` is no signature file.
    """
    try:
        whole = _loaded(others)
        signers = list(whole["content"]["signer_infos"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            "The signature of the person before is not one.", code="signature-not-valid"
        ) from error
    added = _loaded(own)["content"]
    signed = whole["content"]
    kept = {one.dump(): one for one in (*signed["digest_algorithms"], *added["digest_algorithms"])}
    signed["digest_algorithms"] = cms.DigestAlgorithms(kept.values())
    _add(signed, added["certificates"] or (), added["crls"] or ())
    signed["signer_infos"] = cms.SignerInfos([*signers, *added["signer_infos"]])
    return bytes(whole.dump(force=True))


def _loaded(der: bytes) -> cms.ContentInfo:
    whole = cms.ContentInfo.load(der, strict=True)
    if whole["content_type"].native != "signed_data":
        raise ValueError("it is no SignedData")
    return whole


def _add(signed: cms.SignedData, certificates: Iterable[Any], revocation: Iterable[Any]) -> None:
    for name, kind, new in (
        ("certificates", cms.CertificateSet, certificates),
        ("crls", cms.RevocationInfoChoices, revocation),
    ):
        kept = {one.dump(): one for one in (*(signed[name] or ()), *new)}
        if kept:
            signed[name] = kind(kept.values())
    if any(one.name == "other" for one in signed["crls"] or ()):
        signed["version"] = "v5"
