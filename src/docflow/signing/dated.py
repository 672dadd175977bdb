"""Which algorithms a signature made now may use: those that the dated policy lets live a while longer.

Rules:
- The certificate's key, the digest it signs with, and what signs each certificate above it must prove
  something not only now but still after a margin: a signature that is worthless next month is not made.
- A signature that was made is judged at the instant at which it is proven to exist; without proof, now.

Source: ETSI TS 119 312; EN 319 102-1 5.2.8 (cryptographic constraints, at the best signature time).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from docflow.signing.keysigner import CURVE_DIGESTS
from docflow.signing.report import SignatureReport
from docflow.signing.trust import written
from docflow.signing.verifying.algorithms import (
    AlgorithmPolicy,
    Standing,
    ec_family,
    shipped_policy,
)

_PSS_DIGEST = "sha256"  # what RSA keys sign with here


@dataclass(frozen=True, slots=True)
class NewSignatures:
    """The dated policy as new signatures have to meet it.

    Attributes:
        policy: until when each algorithm proves anything.
        margin: how long it must do so after a signature is made.
    """

    policy: AlgorithmPolicy = field(default_factory=shipped_policy)
    margin: timedelta = timedelta(0)

    def identity_faults(
        self,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        roots: Iterable[x509.Certificate],
        now: datetime,
    ) -> list[str]:
        """Say what about a signer's key or chain proves too little; each ends a sentence on its holder.

        Args:
            certificate: the signer's.
            chain: the authorities above it.
            roots: what the chain leads to.
            now: the current instant.
        """
        at = now + self.margin
        key = certificate.public_key()
        digest = _PSS_DIGEST
        if isinstance(key, ec.EllipticCurvePublicKey):
            digest = CURVE_DIGESTS.get(key.curve.name, _PSS_DIGEST)
        own = self._standing(key, "pss", digest, at)
        found = (
            [] if own.strength != "weak" else [f"signs with {_named(key, digest)}, {_over(own)}"]
        )
        above = {one.subject: one.public_key() for one in (*roots, *chain)}
        for link in (certificate, *chain):
            if link.subject == link.issuer:
                continue  # nobody relies on a root's own signature
            used = link.signature_hash_algorithm
            name = used.name.replace("-", "_") if used else ""
            padding = (
                "pss"
                if link.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
                else "pkcs1"
            )
            issuer = above.get(link.issuer)
            standing = self._standing(issuer, padding, name, at)
            if standing.strength == "weak":
                shown = _named(issuer, name, "" if padding == "pss" else " PKCS#1 v1.5")
                found.append(
                    f"has a certificate of {written(link.subject)!r} that is signed with "
                    f"{shown}, {_over(standing)}"
                )
        return found

    def report_faults(self, reports: Iterable[SignatureReport], now: datetime) -> list[str]:
        """Say which signatures use what proves too little, at the instant at which each is proven."""
        return list(self._late(reports, now))

    def _late(self, reports: Iterable[SignatureReport], now: datetime) -> Iterator[str]:
        for one in reports:
            at = one.proven_at or now
            until = one.algorithm_until
            if one.strength == "weak":
                yield f"The signature {one.field} uses {one.algorithm}, which proves nothing."
            elif until is not None and (at + self.margin).date() >= until:
                yield (
                    f"The signature {one.field} uses {one.algorithm}, which proves nothing from "
                    f"{until.isoformat()} on; it must do so for {self.margin.days} days more."
                )

    def _standing(self, key: object, padding: str, digest: str, at: datetime) -> Standing:
        if isinstance(key, rsa.RSAPublicKey):
            return self.policy.signature("rsa", key.key_size, padding, digest, at)
        if isinstance(key, ec.EllipticCurvePublicKey):
            return self.policy.signature(ec_family(key.curve.name), key.key_size, None, digest, at)
        if isinstance(key, ed25519.Ed25519PublicKey):
            return self.policy.key("ed25519", 256, None, at)
        if isinstance(key, ed448.Ed448PublicKey):
            return self.policy.key("ed448", 256, None, at)
        return self.policy.digest(digest, at)


def _over(standing: Standing) -> str:
    if standing.until is None:
        return "which the algorithm policy does not accept"
    return f"which proves nothing from {standing.until.isoformat()} on"


def _named(key: object, digest: str, scheme: str = "") -> str:
    shown = digest.upper().replace("SHA", "SHA-", 1).replace("SHA-3_", "SHA3-")
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}{scheme} and {shown}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name} and {shown}"
    return shown or "an unknown algorithm"
