"""What could be asked about revocation, and what was answered: plain bytes between two processes.

Rules:
- The process that judges a file makes the questions, and asks nobody. Who asks (`outside.asking`) never
  reads the file or a certificate, and hands the answers back as they came.
- Questions are made only about certificates that lead to an anchor and whose signature is intact: a file
  that nobody trusts makes nobody ask anything.

Source: RFC 6960 (OCSP), RFC 5280 4.2.1.13 and 4.2.2.1 (where answers are).
"""

import base64
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

from asn1crypto import x509
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from pyhanko_certvalidator.authority import AuthorityWithCert
from pyhanko_certvalidator.fetchers.common_utils import format_ocsp_request

MOST_QUESTIONS: Final = 24
MOST_URL_CHARS: Final = 2_000
MOST_BODY_BYTES: Final = 4_096
_MOST_PLACES: Final = 2  # of one kind, of one certificate

Kind = Literal["ocsp", "crl"]


@dataclass(frozen=True, slots=True)
class Question:
    """Where to ask, and what: an OCSP request, or nothing for a list.

    `about` numbers the certificate: one good answer of several about it is enough.
    """

    kind: Kind
    url: str
    body: bytes
    about: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for another process."""
        return {
            "kind": self.kind,
            "url": self.url,
            "body": base64.b64encode(self.body).decode(),
            "about": self.about,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Question":
        """Read what `to_dict` wrote, from a process that a hostile file may have taken over.

        Raises:
            ValueError: if it is anything else.
        """
        kind, url, body, about = (data.get(name) for name in ("kind", "url", "body", "about"))
        right = (
            kind in {"ocsp", "crl"}
            and isinstance(url, str)
            and len(url) <= MOST_URL_CHARS
            and isinstance(body, str)
            and len(body) <= 2 * MOST_BODY_BYTES
            and type(about) is int
        )
        if not right:
            raise ValueError("it is no question")
        asked: Kind = "ocsp" if kind == "ocsp" else "crl"
        return cls(asked, str(url), base64.b64decode(str(body), validate=True), int(str(about)))


@dataclass(frozen=True)
class Fetched:
    """What was answered, as it came; nothing of it is believed yet.

    `failed` has a sentence for each who was asked and did not answer, `answered` the others' hosts. They
    are for people, and stay in the process that asked.
    """

    answers: tuple[bytes, ...] = ()
    lists: tuple[bytes, ...] = ()
    failed: tuple[str, ...] = field(default=(), compare=False)
    answered: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, list[str]]:
        """Return plain values for another process: what was answered, and no more."""
        return {
            "answers": [base64.b64encode(one).decode() for one in self.answers],
            "lists": [base64.b64encode(one).decode() for one in self.lists],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[str]]) -> "Fetched":
        """Read what `to_dict` wrote."""
        return cls(
            tuple(base64.b64decode(one) for one in data["answers"]),
            tuple(base64.b64decode(one) for one in data["lists"]),
        )

    @functools.cached_property
    def parsed(self) -> tuple[list[CertificateList], list[OCSPResponse]]:
        """Return the lists and answers that can be read; what cannot be read says nothing."""
        lists = [one for data in self.lists if (one := _read(CertificateList, data)) is not None]
        answers = [one for data in self.answers if (one := _read(OCSPResponse, data)) is not None]
        return lists, answers


@dataclass(slots=True)
class Wanted:
    """Collects questions while a file is judged."""

    questions: list[Question] = field(default_factory=list)
    _seen: dict[bytes, int] = field(default_factory=dict)

    def about(self, path: Sequence[x509.Certificate]) -> None:
        """Want to know of every certificate of a path, the anchor first, whether it was revoked."""
        for issuer, certificate in pairwise(path):
            if certificate.sha256 in self._seen or certificate.ocsp_no_check_value is not None:
                continue
            number = self._seen[certificate.sha256] = len(self._seen)
            self._ask(number, certificate, issuer)

    def _ask(self, number: int, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        found = []
        responders = _usable(certificate.ocsp_urls)
        if responders:
            body = format_ocsp_request(
                certificate,
                AuthorityWithCert(issuer),
                certid_hash_algo="sha1",
                request_nonces=False,
            ).dump()
            found = [Question("ocsp", url, body, number) for url in responders]
        places = [url for point in certificate.crl_distribution_points for url in _places_of(point)]
        found += [Question("crl", url, b"", number) for url in _usable(places)]
        self.questions += found[: MOST_QUESTIONS - len(self.questions)]


def _usable(urls: Sequence[str]) -> list[str]:
    web = [url for url in urls if url.lower().startswith(("http://", "https://"))]
    return [url for url in web if len(url) <= MOST_URL_CHARS][:_MOST_PLACES]


def _places_of(point: Any) -> list[str]:
    name = point["distribution_point"]
    if name.name != "full_name":
        return []
    return [str(one.native) for one in name.chosen if one.name == "uniform_resource_identifier"]


def _read(kind: Any, data: bytes) -> Any:
    try:
        one = kind.load(data, strict=True)
        if kind is OCSPResponse:
            return one if one["response_status"].native == "successful" else None
        one["tbs_cert_list"]["this_update"].native  # noqa: B018 - it must be readable
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return one
