"""How long a time stamp lasts: until its authority's certificate ends or its algorithms no longer hold.

Source: RFC 3161; ETSI TS 119 312 (dates of algorithms, kept as data).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from asn1crypto import cms

from docflow.signing.outside.timestamps import signer_of
from docflow.signing.verifying.algorithms import AlgorithmPolicy, key_facts

_NO_PADDING = "-"


@dataclass(frozen=True, slots=True)
class StampFacts:
    """What the end of a time stamp is computed from.

    Attributes:
        until: when the authority's certificate ends.
        algorithms: family, bits and padding of its key, digest of its signature, digest of what it
            stamps, with colons between: `rsa:3072:pss:sha256:sha256`.
    """

    until: datetime
    algorithms: str

    @classmethod
    def of(cls, signed: cms.SignedData) -> "StampFacts":
        """Return the facts of a token.

        Raises:
            ValueError: if it does not carry its authority's certificate.
        """
        certificate = signer_of(signed)
        if certificate is None:
            raise ValueError("the time stamp does not carry its authority's certificate")
        signer = signed["signer_infos"][0]
        mechanism = str(signer["signature_algorithm"]["algorithm"].native)
        family, bits, padding = key_facts(certificate.public_key, mechanism)
        imprint = signed["encap_content_info"]["content"].parsed["message_imprint"]
        parts = (
            family,
            bits,
            padding or _NO_PADDING,
            signer["digest_algorithm"]["algorithm"].native,
            imprint["hash_algorithm"]["algorithm"].native,
        )
        return cls(certificate.not_valid_after, ":".join(map(str, parts)))


def algorithms_until(algorithms: str, policy: AlgorithmPolicy, now: datetime) -> datetime | None:
    """Return when `StampFacts.algorithms` stop proving anything; None if no end is known.

    What the policy does not know proves nothing now.
    """
    family, bits, padding, digest, imprint = algorithms.split(":")
    standings = (
        policy.signature(
            family, int(bits), None if padding == _NO_PADDING else padding, digest, now
        ),
        policy.digest(imprint, now),
    )
    ends = [one.until for one in standings if one.until is not None]
    if any(one.strength == "weak" and one.until is None for one in standings):
        return now
    return datetime.combine(min(ends), time(), UTC) if ends else None
