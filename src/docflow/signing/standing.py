"""Whether a certificate that is to sign still stands, asked before any signature, whatever its level.

Rules:
- Revoked by its authority, or below an authority that was revoked: it signs nothing.
- Where nobody tells, a signature at B-B or B-T is made all the same, since nothing in it needs the
  answer; the caller keeps why. From B-LT up the level itself demands the answer (`longterm`).
- One link's silence does not hide what is said of another.

Source: RFC 5280, 6.3; RFC 6960.
"""

import threading
from datetime import datetime, timedelta

from asn1crypto import x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, RevokedError, ValidationError

from docflow.kernel.errors import ConflictError
from docflow.signing.blocking import blocking
from docflow.signing.outside.revocation import Evidence, RevocationSource
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import AlgorithmPolicy, DatedAlgorithms

Chain = list[x509.Certificate]
_MOST_KEPT = 1_000
_REST_AFTER_SILENCE = timedelta(
    seconds=60
)  # a responder that hangs does not slow down each signature


class RevokedSignerError(ConflictError):
    """A certificate that was to sign was revoked, or an authority above it was.

    `revoked_at` is since when, if that was told.
    """

    def __init__(self, name: str, revoked_at: datetime | None = None) -> None:
        self.revoked_at = revoked_at
        super().__init__(
            f"The certificate of {name} was revoked; it cannot sign.",
            code="signer-revoked",
            satisfied_by="Have the operator put a valid certificate in its place.",
        )


class Standing:
    """Judges chains by what responders say. Safe to share between threads."""

    def __init__(
        self,
        source: RevocationSource,
        roots: TrustRoots,
        algorithms: AlgorithmPolicy,
        tolerance: timedelta,
    ) -> None:
        """Hold whom to ask and what to judge by; `tolerance` is for responders' clocks."""
        self._source = source
        self._roots = roots
        self._algorithms = algorithms
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._kept: dict[bytes, tuple[datetime, str | None]] = {}

    def unknown(self, chain: Chain, now: datetime) -> str | None:
        """Refuse a revoked chain; return why it cannot be told of all of it, None if it stands.

        Args:
            chain: from the certificate to its root.
            now: the current instant.

        Raises:
            RevokedSignerError: if a certificate of it was revoked.
        """
        key = chain[0].sha256
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        until, why = self._ask(chain, now)
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (until, why)
        return why

    def _ask(self, chain: Chain, now: datetime) -> tuple[datetime, str | None]:
        silent: list[str] = []
        evidence = self._source.evidence([chain], now, silent)
        rest = now + _REST_AFTER_SILENCE
        doubted = self._doubts(chain, evidence, now, "soft-fail")
        if silent:
            return min(rest, evidence.until), " ".join(silent)
        doubted = doubted or self._doubts(chain, evidence, now, "require")
        if doubted:
            self._source.forget()
            return rest, doubted
        return evidence.until, None

    def _doubts(self, chain: Chain, evidence: Evidence, now: datetime, mode: str) -> str | None:
        """Return why the evidence is not enough for this mode; refuse what it says is revoked."""
        context = judging(self._roots, evidence, now, mode, self._tolerance, self._algorithms)
        return doubts_about(chain, context)


def judging(
    roots: TrustRoots,
    evidence: Evidence,
    now: datetime,
    mode: str,
    tolerance: timedelta,
    algorithms: AlgorithmPolicy,
) -> ValidationContext:
    """Return a context that judges by the evidence alone.

    `tolerance`, since an answer may be a few seconds ahead of the instant at which the work began.
    """
    return ValidationContext(
        trust_roots=list(roots.asn1),
        other_certs=evidence.certificates,
        moment=now,
        allow_fetching=False,
        ocsps=evidence.ocsps,
        crls=evidence.crls,
        revocation_mode=mode,
        time_tolerance=tolerance,
        algorithm_usage_policy=DatedAlgorithms(algorithms, now),
    )


def doubts_about(chain: Chain, context: ValidationContext) -> str | None:
    """Return why what is known is not enough for a chain, None if it is.

    Args:
        chain: from the certificate to its root.
        context: what is known, and what it has to be enough for; see `judging`.

    Raises:
        RevokedSignerError: if a certificate of it was revoked.
    """
    validator = CertificateValidator(chain[0], chain[1:-1], validation_context=context)
    try:
        blocking(validator.async_validate_path())
    except RevokedError as error:
        raise RevokedSignerError(name_of(chain[0]), error.revocation_dt) from error
    except (ValidationError, PathBuildingError) as error:
        return (
            f"What is said of the revocation of {name_of(chain[0])}'s certificate cannot be "
            f"believed: {str(error).splitlines()[0].rstrip('.')}."
        )
    return None


def name_of(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate's subject."""
    return str(certificate.subject.native.get("common_name") or "unknown")
