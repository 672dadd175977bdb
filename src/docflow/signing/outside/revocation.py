"""Whether certificates were revoked: OCSP answers and CRLs, fetched, kept for a while, not believed.

Rules:
- OCSP is asked first; where it does not answer, the CRL. Where neither does, `RevocationFault`.
- What is fetched here is only plausible: about the right certificate, of the right time. Its
  signature is judged by the validation that uses it.
- Answers are kept until they say that newer ones exist, and no longer than told.

Source: RFC 6960 (OCSP), RFC 5280 (CRLs), RFC 5019.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from asn1crypto import crl, ocsp, x509
from pyhanko_certvalidator.authority import AuthorityWithCert
from pyhanko_certvalidator.errors import OCSPFetchError, OCSPValidationError
from pyhanko_certvalidator.fetchers.common_utils import (
    format_ocsp_request,
    process_ocsp_response_data,
)

from docflow.signing.outside.fetching import Fetcher, FetchError

_HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
_MAX_KEPT = 1_000
_MAX_URLS = 4
_T = TypeVar("_T")


class RevocationFault(Exception):  # noqa: N818 - as a responder's fault, not ours
    """Nothing tells whether a certificate was revoked; one sentence."""

    def __init__(self, certificate: x509.Certificate, whys: Sequence[str]) -> None:
        told = " ".join(dict.fromkeys(whys)) or "It names neither an OCSP responder nor a CRL."
        super().__init__(
            "It cannot be told whether the certificate of "
            f"{certificate.subject.native.get('common_name') or 'unknown'} was revoked: {told}"
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Certificates of some chains, OCSP responses and CRLs about them, and until when they hold."""

    certificates: tuple[x509.Certificate, ...]
    ocsps: tuple[ocsp.OCSPResponse, ...]
    crls: tuple[crl.CertificateList, ...]
    until: datetime


class RevocationSource:
    """Fetches and keeps evidence. Safe to share between threads."""

    def __init__(self, fetcher: Fetcher, keep: timedelta) -> None:
        """Hold how to fetch, and how long to keep at most."""
        self._fetcher = fetcher
        self._keep = keep
        self._kept: dict[bytes | str, tuple[datetime, Any]] = {}
        self._lock = threading.Lock()

    def evidence(
        self,
        chains: Sequence[Sequence[x509.Certificate]],
        now: datetime,
        silent: list[str] | None = None,
    ) -> Evidence:
        """Return evidence on every certificate of chains that begin at a signer and end at a root.

        Args:
            chains: which certificates.
            now: the current instant.
            silent: takes a sentence for each certificate on which there is none.

        Raises:
            RevocationFault: naming the certificate on which there is none, without `silent`.
        """
        ocsps: dict[bytes, ocsp.OCSPResponse] = {}
        crls: dict[bytes, crl.CertificateList] = {}
        until = now + self._keep
        for chain in chains:
            for certificate, issuer in pairwise(chain):
                whys: list[str] = []
                answer = self._ocsp(certificate, issuer, now, whys)
                if answer is not None:
                    ocsps[answer[1].dump()] = answer[1]
                    until = min(until, answer[0])
                    continue
                found = self._crls(certificate, now, whys)
                if not found:
                    fault = RevocationFault(certificate, whys)
                    if silent is None:
                        raise fault
                    silent.append(str(fault))
                for one in found:
                    crls[one[1].dump()] = one[1]
                    until = min(until, one[0])
        links = {link.sha256: link for chain in chains for link in chain}
        return Evidence(tuple(links.values()), tuple(ocsps.values()), tuple(crls.values()), until)

    def forget(self) -> None:
        """Drop what is kept: it was not believed."""
        with self._lock:
            self._kept.clear()

    def _once(
        self, key: bytes | str, now: datetime, fetch: Callable[[], tuple[datetime, _T]]
    ) -> tuple[datetime, _T]:
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[0] > now:
            return kept
        fetched = fetch()
        entry = (min(fetched[0], now + self._keep), fetched[1])
        with self._lock:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = entry
        return entry

    def _ocsp(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        now: datetime,
        whys: list[str],
    ) -> tuple[datetime, ocsp.OCSPResponse] | None:
        for url in _urls(certificate.ocsp_urls):
            try:
                return self._once(
                    certificate.sha256,
                    now,
                    partial(self._ask, url, certificate, issuer, now),
                )
            except (FetchError, OCSPFetchError, OCSPValidationError) as error:
                whys.append(_sentence(error))
            except (ValueError, TypeError, KeyError, AttributeError):
                whys.append(f"{url} answers with something that is no OCSP response.")
        return None

    def _ask(
        self, url: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
    ) -> tuple[datetime, ocsp.OCSPResponse]:
        request = format_ocsp_request(
            certificate, AuthorityWithCert(issuer), certid_hash_algo="sha1", request_nonces=True
        )
        data = self._fetcher.post(url, request.dump(), _HEADERS)
        response = process_ocsp_response_data(data, ocsp_request=request, ocsp_url=url)
        for single in response.response_data["responses"]:
            if single["cert_id"]["serial_number"].native != certificate.serial_number:
                continue
            if single["this_update"].native > now + timedelta(minutes=5):
                raise FetchError(f"{url} answers for a time that has not come.")
            until = single["next_update"].native or now + self._keep
            if until <= now:
                raise FetchError(f"{url} answers with what is out of date.")
            return until, response
        raise FetchError(f"{url} answers about another certificate.")

    def _crls(
        self, certificate: x509.Certificate, now: datetime, whys: list[str]
    ) -> list[tuple[datetime, crl.CertificateList]]:
        for url in _urls(
            url for point in certificate.crl_distribution_points for url in _point_urls(point)
        ):
            try:
                return [self._once(url, now, partial(self._get, url, now))]
            except FetchError as error:
                whys.append(_sentence(error))
            except (ValueError, TypeError, KeyError, AttributeError):
                whys.append(f"{url} holds something that is no CRL.")
        return []

    def _get(self, url: str, now: datetime) -> tuple[datetime, crl.CertificateList]:
        data = self._fetcher.get(url)
        found = crl.CertificateList.load(data, strict=True)
        until = found["tbs_cert_list"]["next_update"].native or now + self._keep
        if until <= now:
            raise FetchError(f"{url} holds a CRL that is out of date.")
        return until, found


def _urls(found: Any) -> list[str]:
    return [url for url in found if url.lower().startswith(("http://", "https://"))][:_MAX_URLS]


def _point_urls(point: Any) -> list[str]:
    name = point["distribution_point"]
    if name.name != "full_name":
        return []
    return [str(one.native) for one in name.chosen if one.name == "uniform_resource_identifier"]


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") + "."
