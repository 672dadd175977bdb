"""How long an algorithm proves anything, by a dated policy that is data (`data/algorithms.yaml`).

Rules:
- What the policy does not list proves nothing.
- A signature is judged at the instant at which it is proven to exist; without proof, at validation.

Source: ETSI TS 119 312, EN 319 102-1 5.2.8 (cryptographic verification constraints).
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from asn1crypto import algos, keys
from pyhanko_certvalidator.policy_decl import AlgorithmUsageConstraint, AlgorithmUsagePolicy
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from docflow.kernel.errors import ConfigurationError
from docflow.signing.report import Strength

_SHIPPED = Path(__file__).resolve().parents[2] / "data" / "algorithms.yaml"
_FAR = date.max
# The curves that the catalogue judges by their size; every other one is a kind of its own.
_AGREED_CURVES = {
    "secp224r1", "secp256r1", "secp384r1", "secp521r1",
    "brainpoolp256r1", "brainpoolp384r1", "brainpoolp512r1",
}  # fmt: skip
_RULE_KEYS = {"algorithm", "padding", "bits", "until", "unlisted"}
_DIGEST_KEYS = {"until", "unlisted"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How an algorithm stands at an instant.

    Attributes:
        strength: `recommended` without an end, `legacy` until its end, `weak` after it or if the
            policy does not know it, `unknown` if the policy does not judge it.
        until: the day from which it proves nothing; None without an end.
    """

    strength: Strength
    until: date | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    algorithm: str
    bits: int
    padding: str | None
    until: date | None
    unlisted: bool


@dataclass(frozen=True)
class AlgorithmPolicy:
    """The dated policy: digests and keys, and until when each of them proves anything."""

    name: str
    digests: Mapping[str, tuple[date | None, bool]]
    rules: tuple[_Rule, ...]

    @classmethod
    def from_file(cls, path: Path) -> "AlgorithmPolicy":
        """Read a policy.

        Raises:
            ConfigurationError: naming the file and what is wrong with it.
        """
        try:
            data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
            return cls.from_data(data)
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            raise ConfigurationError(f"The algorithm policy {path} cannot be read.") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"The algorithm policy {path} is not right ({error}); it has `policy`, `digests` and "
                "`keys` as docflow/data/algorithms.yaml has them."
            ) from error

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "AlgorithmPolicy":
        """Read a policy from plain values.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if they are not a policy.
        """
        digests = {}
        for name, terms in data["digests"].items():
            _only(terms, _DIGEST_KEYS)
            digests[str(name)] = (_day(terms.get("until")), bool(terms.get("unlisted", False)))
        rules = []
        for terms in data["keys"]:
            _only(terms, _RULE_KEYS)
            rules.append(
                _Rule(
                    str(terms["algorithm"]),
                    int(terms["bits"]),
                    terms.get("padding"),
                    _day(terms.get("until")),
                    bool(terms.get("unlisted", False)),
                )
            )
        return cls(str(data["policy"]), digests, tuple(rules))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `from_data` reads."""
        return {
            "policy": self.name,
            "digests": {
                name: {"until": until.isoformat() if until else None, "unlisted": unlisted}
                for name, (until, unlisted) in self.digests.items()
            },
            "keys": [
                {
                    **dataclasses.asdict(rule),
                    "until": rule.until.isoformat() if rule.until else None,
                }
                for rule in self.rules
            ],
        }

    def digest(self, name: str, at: datetime) -> Standing:
        """Tell how a digest stands at the instant `at`."""
        name = name.removesuffix("_len")  # SHAKE with a stated length is SHAKE
        if name not in self.digests:
            return Standing("weak")
        until, unlisted = self.digests[name]
        return _standing(until, unlisted, at)

    def key(self, algorithm: str, bits: int, padding: str | None, at: datetime) -> Standing:
        """Tell how a key of `bits` bits stands at the instant `at`; `padding` is RSA's."""
        fitting = [
            rule
            for rule in self.rules
            if rule.algorithm == algorithm and bits >= rule.bits and rule.padding in {None, padding}
        ]
        if not fitting:
            return Standing("weak")
        best = max(fitting, key=lambda rule: rule.until or _FAR)
        return _standing(best.until, best.unlisted, at)

    def signature(
        self, algorithm: str, bits: int, padding: str | None, digest: str, at: datetime
    ) -> Standing:
        """Tell how a signature stands: as the weaker of its key and its digest."""
        both = (self.key(algorithm, bits, padding, at), self.digest(digest, at))
        order: tuple[Strength, ...] = ("weak", "unknown", "legacy", "recommended")
        weaker = min(both, key=lambda one: order.index(one.strength))
        ends = [one.until for one in both if one.until is not None]
        return Standing(weaker.strength, min(ends) if ends else None)


@functools.cache
def shipped_policy() -> AlgorithmPolicy:
    """Return the policy that ships with docflow."""
    return AlgorithmPolicy.from_file(_SHIPPED)


class DatedAlgorithms(AlgorithmUsagePolicy):
    """The policy as pyHanko asks for it, for signatures, chains, timestamps and revocation lists."""

    def __init__(self, policy: AlgorithmPolicy, now: datetime) -> None:
        self._policy = policy
        self._now = now

    def digest_algorithm_allowed(
        self, algo: algos.DigestAlgorithm, moment: datetime | None
    ) -> AlgorithmUsageConstraint:
        """Tell whether a digest proves anything at `moment`."""
        name = str(algo["algorithm"].native)
        return _constraint(self._policy.digest(name, moment or self._now), name)

    def signature_algorithm_allowed(
        self,
        algo: algos.SignedDigestAlgorithm,
        moment: datetime | None,
        public_key: keys.PublicKeyInfo | None,
    ) -> AlgorithmUsageConstraint:
        """Tell whether a signature algorithm with this key proves anything at `moment`."""
        at = moment or self._now
        mechanism = str(algo["algorithm"].native)
        digest = _digest_of(algo)
        if public_key is None:
            standing = self._policy.digest(digest, at) if digest else Standing("unknown")
        else:
            family, bits, padding = key_facts(public_key, mechanism)
            standing = (
                self._policy.signature(family, bits, padding, digest, at)
                if digest
                else self._policy.key(family, bits, padding, at)
            )
        return _constraint(standing, mechanism)


def key_facts(key: keys.PublicKeyInfo, mechanism: str) -> tuple[str, int, str | None]:
    """Return family, size in bits and RSA padding of a key that signs by `mechanism`."""
    if key.algorithm in {"rsa", "rsassa_pss"}:
        return "rsa", key.bit_size, "pss" if "pss" in mechanism else "pkcs1"
    if key.algorithm == "ec":
        kind, curve = key.curve
        return ec_family(str(curve) if kind == "named" else "unnamed"), key.bit_size, None
    if key.algorithm in {"ed25519", "ed448"}:
        return key.algorithm, 256, None
    return str(key.algorithm), key.bit_size or 0, None


def ec_family(curve: str) -> str:
    """Return the policy's word for ECDSA on a named curve: `ecdsa`, or `ecdsa-secp256k1` and such."""
    name = curve.lower()
    return "ecdsa" if name in _AGREED_CURVES else f"ecdsa-{name}"


def in_words(key: keys.PublicKeyInfo, mechanism: str, digest: str) -> str:
    """Return a signature algorithm as a person writes it: `RSA 3072 (PSS), SHA-256`."""
    shown = digest_in_words(digest)
    family, bits, padding = key_facts(key, mechanism)
    if family == "rsa":
        return f"RSA {bits} ({'PSS' if padding == 'pss' else 'PKCS#1 v1.5'}), {shown}"
    if family.startswith("ecdsa"):
        curve = key.curve[1] if key.curve[0] == "named" else "unnamed curve"
        return f"ECDSA {curve}, {shown}"
    return f"{family.replace('ed', 'Ed', 1) if family.startswith('ed') else family}, {shown}"


def digest_in_words(digest: str) -> str:
    """Return a digest as a person writes it: `SHA-256`, `SHA3-256`, `SHAKE256`."""
    name = digest.upper().removesuffix("_LEN")
    if name.startswith("SHA3_"):
        return name.replace("_", "-")
    if name.startswith("SHA") and not name.startswith("SHAKE"):
        return f"SHA-{name[3:].replace('_', '/')}"
    return name


def _digest_of(algo: algos.SignedDigestAlgorithm) -> str | None:
    try:
        return str(algo.hash_algo)
    except ValueError:
        return None


def _constraint(standing: Standing, name: str) -> AlgorithmUsageConstraint:
    if standing.strength != "weak":
        return AlgorithmUsageConstraint(allowed=True)
    end = standing.until
    return AlgorithmUsageConstraint(
        allowed=False,
        not_allowed_after=datetime(end.year, end.month, end.day, tzinfo=UTC) if end else None,
        failure_reason=f"{name} proves nothing by the algorithm policy",
    )


def _standing(until: date | None, unlisted: bool, at: datetime) -> Standing:
    if unlisted:
        return Standing("unknown")
    if until is None:
        return Standing("recommended")
    over = at.astimezone(UTC).date() >= until
    return Standing("weak" if over else "legacy", until)


def _day(value: object) -> date | None:
    if value is None or type(value) is date:
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise ValueError(f"{value!r} is not a day such as 2029-01-01")


def _only(terms: Mapping[str, Any], known: set[str]) -> None:
    unknown = set(terms) - known
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
