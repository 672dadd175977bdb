"""Signatures that outlive certificates: what a level needs beside the key, kept warm between files.

Rules:
- A level is made whole or not at all. What is away is told (OutsideUnavailableError, which a job tries
  again); nothing lower is made instead unless the caller asks for it.
- Evidence and contexts are used again for some minutes, then gathered anew: they hold what
  responders said, and that grows old.
- What is embedded was judged here first, offline, with revocation required for every certificate
  but the root.

Source: ETSI EN 319 142-1 (levels), EN 319 102-1 (what a validation needs).
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from cryptography.x509 import Certificate, load_der_x509_certificate
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from docflow.kernel.errors import ConflictError, OutsideUnavailableError
from docflow.signing.blocking import blocking
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import LEVELS, Level
from docflow.signing.outside.fetching import Fetcher
from docflow.signing.outside.revocation import Evidence, RevocationFault, RevocationSource
from docflow.signing.outside.services import SigningServices
from docflow.signing.outside.timestamps import (
    TimestampAuthority,
    Timestamper,
    TimestampFault,
    TimestampTooLarge,
)
from docflow.signing.standing import (
    Chain,
    Standing,
    doubts_about,
    judging,
    name_of,
)
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import AlgorithmPolicy, DatedAlgorithms, shipped_policy

_REST_AFTER_FAULT = timedelta(seconds=60)
_MAX_WARM = 200
_LEAST_ROOM_BYTES = 12 * 1024  # tokens of public authorities take 3 to 7 KiB
_T = TypeVar("_T")
AWAY_CODES = frozenset({"tsa-unavailable", "revocation-unavailable"})


@dataclass(frozen=True, slots=True)
class Bench:
    """What one signature at a level above B-B works with.

    Attributes:
        authority: the time-stamp authority's name.
        timestamper: asks it.
        token_digits: hexadecimal digits that one of its tokens needs in the file, with a margin.
        evidence: gives what to embed about these certificates (each with others that may lead to its
            root) and about the authority's own.
    """

    authority: str
    timestamper: Timestamper
    token_digits: int
    evidence: Callable[[Sequence[Chain]], Evidence]


class LongTerm:
    """Makes benches. Safe to share between threads."""

    def __init__(
        self,
        services: SigningServices,
        own_roots: TrustRoots,
        algorithms: AlgorithmPolicy | None = None,
    ) -> None:
        """Hold what makes levels.

        Args:
            services: that may be asked.
            own_roots: that our own signers lead to.
            algorithms: the dated policy that chains and tokens have to meet; by default the shipped one.
        """
        self._algorithms = algorithms or shipped_policy()
        self._services = services
        self._own_roots = own_roots
        self.timestamp_roots = services.timestamp_roots + own_roots
        hosts = services.private_hosts | {_host_of(one) for one in services.authorities}
        self._asking = Fetcher(services.timestamp_limits, hosts)
        self._revocation = RevocationSource(
            Fetcher(services.revocation_limits, services.private_hosts), services.refresh
        )
        self._standing = Standing(
            self._revocation, self.timestamp_roots, self._algorithms, services.clock_tolerance
        )
        self._lock = threading.Lock()
        self._faults: dict[str, datetime] = {}
        self._samples: dict[str, tuple[datetime, Timestamper]] = {}
        self._warm: dict[tuple[str, frozenset[bytes]], Evidence] = {}

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that can be made."""
        return LEVELS if self._services.authorities else LEVELS[:1]

    @property
    def authorities(self) -> tuple[str, ...]:
        """The names of the time-stamp authorities that may be asked."""
        return tuple(one.name for one in self._services.authorities)

    def stamping_certificates(
        self, names: Collection[str], now: datetime
    ) -> dict[str, Certificate]:
        """Return what each of these authorities that answers signs with; of several, the first to end."""
        found: dict[str, Certificate] = {}
        for authority in self._services.authorities:
            if authority.name not in names:
                continue
            try:
                shown = self._timestamper(authority, now).stamping_certificates
            except TimestampFault:
                self.failed(authority.name, now)
                continue
            ends = min(shown, key=lambda one: one.not_valid_after)
            found[authority.name] = load_der_x509_certificate(ends.dump())
        return found

    def standing(self, identity: SignerIdentity, now: datetime) -> str | None:
        """Refuse a certificate that was revoked; return why nobody tells, None if it stands.

        Without a signing services file nobody is asked, and nothing is told.

        Args:
            identity: whose certificate and authorities are asked about.
            now: the current instant.

        Raises:
            ConflictError: code `signer-revoked`; `chain-unknown` if it leads to no root.
        """
        return self.standing_of([identity.signer.signing_cert, *identity.signer.cert_registry], now)

    def standing_of(self, known: Chain, now: datetime) -> str | None:
        """Do the same for a certificate, given with others that may be part of its chain."""
        if not self._services.ask_revocation:
            return None
        return self._standing.unknown(self.chain_of(known, now), now)

    def require(self, level: Level) -> None:
        """Refuse a level that can never be made as things are.

        Raises:
            ConflictError: code `level-unavailable`.
        """
        if level not in self.levels:
            raise ConflictError(
                f"A signature at {level} needs a time-stamp authority, and none is configured.",
                code="level-unavailable",
                rule="signature-level",
                satisfied_by="Have the operator name one in DOCFLOW_SIGNING_SERVICES_FILE.",
            )

    def work(self, level: Level, now: datetime, use: Callable[[Bench], _T]) -> _T:
        """Return what `use` makes with the best authority that is ready, or with the next ones.

        Args:
            level: B-T or higher.
            now: the current instant.
            use: makes everything anew each time; what it raises as `TimestampFault` is that
                authority's fault.

        Raises:
            OutsideUnavailableError: code `tsa-unavailable` if every authority failed, saying how, or
                `revocation-unavailable` if nothing tells whether a certificate was revoked.
            ConflictError: code `signer-revoked` if the signer's certificate was; `level-unavailable`
                if no authority is configured; `stamp-too-large` if no authority's token fits.
        """
        self.require(level)
        faults: list[TimestampFault] = []
        for authority in self._in_order(now):
            try:
                return use(self._bench(authority, now))
            except TimestampFault as fault:
                self._faulty(fault, authority.name, now)
                faults.append(fault)
        told = " ".join(map(str, faults))
        if all(isinstance(fault, TimestampTooLarge) for fault in faults):
            raise ConflictError(
                told,
                code="stamp-too-large",
                rule="signature-level",
                satisfied_by="Fire the transition again: the room is made anew, for tokens of this size.",
            )
        raise OutsideUnavailableError(told, code="tsa-unavailable")

    def token_digits(self, now: datetime) -> int:
        """Return how many hexadecimal digits to keep free for a token that comes later.

        Enough for whichever authority gives it: for each that answers now, and at least
        `_LEAST_ROOM_BYTES`, for those that are away now or are configured later.
        """
        digits = 2 * _LEAST_ROOM_BYTES
        for authority in self._in_order(now):
            if self._rests(authority.name, now):
                continue
            try:
                digits = max(digits, self._bench(authority, now).token_digits)
            except TimestampFault:
                self.failed(authority.name, now)
        return digits

    def failed(self, authority: str, now: datetime) -> None:
        """Ask another authority first for a while, and take nothing for granted of this one."""
        with self._lock:
            self._faults[authority] = now
            self._samples.pop(authority, None)
            self._warm = {key: one for key, one in self._warm.items() if key[0] != authority}

    def chain_of(self, known: Chain, now: datetime) -> Chain:
        """Return the chain from the first certificate to one of our roots, that root last.

        Args:
            known: the certificate, then others that may be part of the chain.
            now: the current instant.

        Raises:
            ConflictError: code `chain-unknown` if there is none.
        """
        certificate, others = known[0], known[1:]
        context = self.timestamp_roots.validation_context(
            now, others, algorithms=DatedAlgorithms(self._algorithms, now)
        )
        validator = CertificateValidator(certificate, others, validation_context=context)
        try:
            path = blocking(validator.async_validate_path())
        except (ValidationError, PathBuildingError) as error:
            raise ConflictError(
                f"The certificate of {name_of(certificate)} does not lead to a configured root: "
                f"{str(error).splitlines()[0].rstrip('.')}.",
                code="chain-unknown",
                satisfied_by="Have the operator name its root in the signers or signing services file.",
            ) from error
        return list(reversed(list(path.iter_certs(include_root=True))))

    # -- inside ------------------------------------------------------------------------------------

    def _in_order(self, now: datetime) -> list[TimestampAuthority]:
        return sorted(self._services.authorities, key=lambda one: self._rests(one.name, now))

    def _rests(self, authority: str, now: datetime) -> bool:
        with self._lock:
            at = self._faults.get(authority)
        return at is not None and now - at < _REST_AFTER_FAULT

    def _faulty(self, fault: TimestampFault, authority: str, now: datetime) -> None:
        """Remember what an authority did; one whose token is good but large answers, and need not rest."""
        if not isinstance(fault, TimestampTooLarge):
            self.failed(authority, now)
            return
        with self._lock:
            self._faults.pop(authority, None)
            self._samples.pop(authority, None)  # it was of a smaller token

    def _bench(self, authority: TimestampAuthority, now: datetime) -> Bench:
        timestamper = self._timestamper(authority, now)
        digits = 2 * len(blocking(timestamper.async_dummy_response("sha256")).dump())
        return Bench(
            authority.name,
            timestamper,
            digits + 2 * (digits // 8),
            lambda known: self._evidence(timestamper, known, now),
        )

    def _timestamper(self, authority: TimestampAuthority, now: datetime) -> Timestamper:
        """Return a time stamper that knows a sample of the authority's tokens."""
        made = Timestamper(
            authority,
            self._asking,
            self.timestamp_roots.validation_context(
                now, algorithms=DatedAlgorithms(self._algorithms, now)
            ),
            now=now,
            tolerance=self._services.clock_tolerance,
        )
        with self._lock:
            sample = self._samples.get(authority.name)
        if sample is not None and sample[0] > now:
            made.warmed_by(sample[1])
            return made
        blocking(made.async_dummy_response("sha256"))
        with self._lock:
            self._samples[authority.name] = (now + self._services.refresh, made)
        return made

    def _evidence(
        self, timestamper: Timestamper, known: Sequence[Chain], now: datetime
    ) -> Evidence:
        """Return judged evidence, from the warm ones if they still hold.

        Raises:
            TimestampFault: if the authority's certificate was revoked, or leads to no root.
        """
        leaves = frozenset(one[0].sha256 for one in known)
        key = (timestamper.authority.name, leaves)
        with self._lock:
            warm = self._warm.get(key)
        if warm is not None and warm.until > now:
            return warm
        try:
            stamping = [
                self.chain_of([one, *timestamper.cert_registry], now)
                for one in timestamper.stamping_certificates
            ]
            self._judged(stamping, now)
        except ConflictError as error:  # the authority's own fault, not the signer's
            raise TimestampFault(timestamper.authority.name, error.detail) from error
        evidence = self._judged([*stamping, *(self.chain_of(one, now) for one in known)], now)
        with self._lock:
            if len(self._warm) >= _MAX_WARM:
                self._warm.clear()
            self._warm[key] = evidence
        return evidence

    def _judged(self, chains: Sequence[Chain], now: datetime) -> Evidence:
        """Gather evidence on every chain and judge each by it alone, revocation required.

        Raises:
            OutsideUnavailableError: code `revocation-unavailable`.
            RevokedSignerError: if a certificate was revoked.
        """
        try:
            evidence = self._revocation.evidence(chains, now)
        except RevocationFault as fault:
            raise OutsideUnavailableError(str(fault), code="revocation-unavailable") from fault
        context = judging(
            self.timestamp_roots,
            evidence,
            now,
            "require",
            self._services.clock_tolerance,
            self._algorithms,
        )
        for chain in chains:
            if doubted := doubts_about(chain, context):
                self._revocation.forget()
                raise OutsideUnavailableError(doubted, code="revocation-unavailable")
        return evidence


def _host_of(authority: TimestampAuthority) -> str:
    return str(urlsplit(authority.url).hostname)
