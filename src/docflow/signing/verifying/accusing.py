"""What accuses a certificate of having been revoked, where nothing fresh tells.

Rules:
- A list or an answer that is stale, or about others, acquits nobody. It accuses all the same, which errs on
  the safe side, but only in its issuer's own voice: anybody can put a list into a file.
- In the issuer's voice speak its key; for lists another key of the same name that the path certifies; for
  answers a responder that the issuer named.

Source: RFC 5280 5 and 6.3.3 (lists), RFC 6960 4.2.2.2 (responders).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from asn1crypto import x509
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from pyhanko_certvalidator.errors import PSSParameterMismatch
from pyhanko_certvalidator.sig_validate import DefaultSignatureValidator

_NOT_SIGNED = (
    InvalidSignature,
    UnsupportedAlgorithm,
    PSSParameterMismatch,
    NotImplementedError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)


def accused(
    path: Sequence[x509.Certificate],
    certificates: Sequence[x509.Certificate],
    lists: Iterable[CertificateList],
    answers: Iterable[OCSPResponse],
    at: datetime,
) -> bool:
    """Tell whether a certificate of the path was revoked before `at`, by what its issuer signed.

    Args:
        path: the anchor first.
        certificates: others at hand, not believed by themselves.
        lists: revocation lists.
        answers: of OCSP responders.
        at: the instant.
    """
    listed = [
        crl
        for crl in lists
        if any(_listed(crl, one, at) for one in path[1:]) and _spoken(crl, path, certificates)
    ]
    found = list(answers)
    return any(
        any(_listed(crl, one, at) for crl in listed)
        or any(_revoked_by(answer, issuer, one, certificates, at) for answer in found)
        for issuer, one in pairwise(path)
    )


def _listed(crl: CertificateList, certificate: x509.Certificate, at: datetime) -> bool:
    return crl.issuer == certificate.issuer and any(
        one["user_certificate"].native == certificate.serial_number
        and one["revocation_date"].native <= at
        for one in crl["tbs_cert_list"]["revoked_certificates"] or ()
    )


def _spoken(
    crl: CertificateList,
    path: Sequence[x509.Certificate],
    certificates: Sequence[x509.Certificate],
) -> bool:
    """Tell whether a list bears the signature of its issuer."""
    above = path[:-1]
    others = [
        one
        for one in certificates
        if one.subject == crl.issuer and any(_issued(one, by) for by in above)
    ]
    return any(
        _signed(crl, "tbs_cert_list", "signature", by)
        for by in [one for one in above if one.subject == crl.issuer] + others
    )


def _revoked_by(
    answer: OCSPResponse,
    issuer: x509.Certificate,
    certificate: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    at: datetime,
) -> bool:
    if answer["response_status"].native != "successful":
        return False
    revoked = any(
        one["cert_status"].name == "revoked"
        and one["cert_status"].chosen["revocation_time"].native <= at
        and _is_about(one["cert_id"], issuer, certificate)
        for one in answer.response_data["responses"]
    )
    return revoked and any(
        _signed(answer.basic_ocsp_response, "tbs_response_data", "signature", by)
        for by in _responders(answer, issuer, certificates)
    )


def _responders(
    answer: OCSPResponse, issuer: x509.Certificate, certificates: Sequence[x509.Certificate]
) -> Iterator[x509.Certificate]:
    """Yield those who may answer for an issuer: itself, and whom it named for that."""
    yield issuer
    for one in [*(answer.basic_ocsp_response["certs"] or ()), *certificates]:
        purposes = one.extended_key_usage_value
        if purposes is not None and "ocsp_signing" in purposes.native and _issued(one, issuer):
            yield one


def _is_about(named: Any, issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    algorithm = str(named["hash_algorithm"]["algorithm"].native)
    try:
        name = hashlib.new(algorithm, certificate.issuer.dump()).digest()
        key = hashlib.new(algorithm, bytes(issuer.public_key["public_key"])).digest()
    except (ValueError, TypeError):  # a hash that nobody knows names nobody
        return False
    about = [named[one].native for one in ("serial_number", "issuer_name_hash", "issuer_key_hash")]
    return about == [certificate.serial_number, name, key]


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    return certificate.issuer == by.subject and _signed(
        certificate, "tbs_certificate", "signature_value", by
    )


def _signed(thing: Any, told: str, value: str, by: x509.Certificate) -> bool:
    """Tell whether the key of `by` signed a certificate, a list or an answer."""
    try:
        DefaultSignatureValidator().validate_signature(
            thing[value].native, thing[told].dump(), by.public_key, thing["signature_algorithm"]
        )
    except _NOT_SIGNED:
        return False
    return True
