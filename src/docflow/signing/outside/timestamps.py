"""Time-stamp tokens from one authority, each checked before it is used.

Rules:
- A token counts only if it is over our digest, for our question (nonce), by a certificate whose
  extended key usage is time stamping alone, under a policy that was asked for, of about our time,
  and with a signature that leads to a root that we trust.
- An authority that is away and one that lies are the same to us: `TimestampFault`, and the next
  authority is asked.

Source: RFC 3161; RFC 5816 (ESSCertIDv2); ETSI EN 319 422.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import cms, tsp, x509
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError, handle_tsp_response
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from docflow.signing.outside.fetching import Fetcher, FetchError
from docflow.signing.verifying.instants import CLOCK_TOLERANCE

_HEADERS = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
}


class TimestampFault(Exception):  # noqa: N818 - as an authority's fault, not ours
    """An authority gave no token that can be used; the message is one sentence without a secret."""

    def __init__(self, authority: str, why: str) -> None:
        super().__init__(f"The time-stamp authority {authority} gave no usable time stamp: {why}")
        self.authority = authority


class TimestampTooLarge(TimestampFault):
    """An authority's token is good, and larger than the room that was kept for it."""


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """One authority.

    Attributes:
        name: what people call it, in errors and evidence.
        url: where it answers.
        authorization: value of the Authorization header, if it wants one.
        policies: object identifiers of the policies that are accepted; empty: any.
    """

    name: str
    url: str
    authorization: str | None = field(default=None, repr=False)
    policies: frozenset[str] = frozenset()


class Timestamper(TimeStamper):
    """pyHanko's time stamper for one authority, one signature and one instant."""

    def __init__(
        self,
        authority: TimestampAuthority,
        fetcher: Fetcher,
        context: ValidationContext,
        *,
        now: datetime,
        tolerance: timedelta,
    ) -> None:
        """Hold where to ask and how to check.

        Args:
            authority: whom to ask.
            fetcher: asks, within limits.
            context: trusts the roots of authorities; judges each token.
            now: the current instant.
            tolerance: how far the authority's clock may be from ours.
        """
        super().__init__(include_nonce=True)  # type: ignore[no-untyped-call]
        self.authority = authority
        self._fetcher = fetcher
        self._context = context
        self._now = now
        self._tolerance = tolerance
        self.tokens: list[cms.SignedData] = []

    def warmed_by(self, other: "Timestamper") -> None:
        """Take over the sample token and certificates of an earlier one for the same authority."""
        self._dummy_response_cache = other.samples
        for certificate in other.stamping_certificates:
            self._certs[certificate.issuer_serial] = certificate
        self.cert_registry = other.cert_registry

    @property
    def samples(self) -> dict[str, cms.ContentInfo]:
        """Sample tokens by digest algorithm, for the room that tokens need."""
        return self._dummy_response_cache

    @property
    def stamping_certificates(self) -> list[x509.Certificate]:
        """The certificates of the authority that its sample token showed."""
        return list(self._certs.values())

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Ask the authority (called by pyHanko).

        Raises:
            TimestampFault: if there is no well-formed answer.
        """
        headers = dict(_HEADERS)
        if self.authority.authorization:
            headers["Authorization"] = self.authority.authorization
        try:
            answer = self._fetcher.post(self.authority.url, req.dump(), headers)
        except FetchError as error:
            raise TimestampFault(self.authority.name, str(error)) from error
        try:
            response = tsp.TimeStampResp.load(answer, strict=True)
            response["status"]["status"].native  # noqa: B018 - parses it
        except (ValueError, TypeError, KeyError) as error:
            raise TimestampFault(
                self.authority.name, "what it answers is no time-stamp response."
            ) from error
        return response

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Return a token over a digest, checked.

        Raises:
            TimestampFault: if the authority is away, refuses, or its token is not believed.
        """
        nonce, request = self.request_cms(  # type: ignore[no-untyped-call]
            message_digest, md_algorithm
        )
        response = await self.async_request_tsa_response(request)
        try:
            token = handle_tsp_response(response, None)
            info = token["content"]["encap_content_info"]["content"].parsed
            fault = self._fault(info, message_digest, md_algorithm, nonce)
            fault = fault or await self._untrusted(token, message_digest)
        except TimestampRequestError as error:
            fault = f"it refuses ({str(error).split(': ', 1)[-1]})."
        except (ValueError, TypeError, KeyError, AttributeError):
            fault = "what it answers is no time-stamp token."
        if fault is not None:
            raise TimestampFault(self.authority.name, fault)
        self.tokens.append(token["content"])
        return token

    def _fault(self, info: tsp.TSTInfo, digest: bytes, algorithm: str, nonce: int) -> str | None:
        imprint = info["message_imprint"]
        if imprint["hash_algorithm"]["algorithm"].native != algorithm:
            return "its token is over a digest of another algorithm."
        if imprint["hashed_message"].native != digest:
            return "its token is over something else than was asked for."
        if info["nonce"].native != nonce:
            return "its token answers another question (the nonce differs)."
        policy = info["policy"].dotted
        if self.authority.policies and policy not in self.authority.policies:
            return f"its token is under the policy {policy}, which is not accepted."
        ahead = info["gen_time"].native - self._now
        away = abs(ahead)
        if away > self._tolerance or ahead > CLOCK_TOLERANCE:  # what no verifier would take yet
            return (
                f"its token is of {info['gen_time'].native:%Y-%m-%dT%H:%M:%SZ}, "
                f"{away.total_seconds():.0f} s away from our clock."
            )
        return None

    async def _untrusted(self, token: cms.ContentInfo, digest: bytes) -> str | None:
        signed: cms.SignedData = token["content"]
        certificate = signer_of(signed)
        if certificate is None:
            return "its token does not carry the authority's certificate."
        usage = certificate.extended_key_usage_value
        if usage is None or usage.native != ["time_stamping"]:
            return "its certificate is not one for time stamping alone."
        try:
            status: dict[str, Any] = await validate_tst_signed_data(
                signed, self._context, lambda _algorithm: digest
            )
        except (SignatureValidationError, ValidationError, PathBuildingError) as error:
            return f"its token cannot be judged ({str(error).splitlines()[0].rstrip('.')})."
        if not (status["intact"] and status["valid"]):
            return "the signature of its token is not valid."
        if status.get("trust_problem_indic") is not None or not status.get("validation_path"):
            problem = getattr(
                status.get("trust_problem_indic"), "name", "NO_CERTIFICATE_CHAIN_FOUND"
            )
            return f"its certificate is not trusted ({problem})."
        return None


def signer_of(signed: cms.SignedData) -> x509.Certificate | None:
    """Return the certificate that signed, if it is inside."""
    sid = signed["signer_infos"][0]["sid"]
    for choice in signed["certificates"]:
        certificate = choice.chosen
        if sid.name == "issuer_and_serial_number":
            named = sid.chosen
            if (
                certificate.serial_number == named["serial_number"].native
                and certificate.issuer == named["issuer"]
            ):
                return certificate
        elif certificate.key_identifier == sid.chosen.native:
            return certificate
    return None
