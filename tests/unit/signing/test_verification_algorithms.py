from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from docflow.kernel.errors import ConfigurationError
from docflow.signing.verifying.algorithms import (
    AlgorithmPolicy,
    digest_in_words,
    ec_family,
    shipped_policy,
)

POLICY = shipped_policy()
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "bits", "padding", "digest", "strength", "until"),
    [
        ("ecdsa", 256, None, "sha256", "recommended", None),
        ("ecdsa", 384, None, "sha3_384", "recommended", None),
        ("rsa", 3072, "pss", "sha256", "recommended", None),
        ("rsa", 2048, "pss", "sha256", "legacy", date(2029, 1, 1)),
        ("rsa", 4096, "pkcs1", "sha512", "legacy", date(2029, 1, 1)),
        ("rsa", 3072, "pss", "sha224", "legacy", date(2029, 1, 1)),
        ("rsa", 1024, "pkcs1", "sha256", "weak", None),
        ("ecdsa", 224, None, "sha256", "weak", None),
        ("ecdsa", 256, None, "sha1", "weak", date(2012, 8, 1)),
        ("rsa", 2048, "pkcs1", "md5", "weak", date(2004, 8, 1)),
        ("ed25519", 256, None, "sha512", "weak", None),
        ("ecdsa-secp256k1", 256, None, "sha256", "weak", None),
        ("gost", 512, None, "sha512", "weak", None),
        ("ecdsa", 256, None, "whirlpool", "weak", None),
    ],
)
def test_each_algorithm_has_its_standing(
    key: str, bits: int, padding: str | None, digest: str, strength: str, until: date | None
) -> None:
    found = POLICY.signature(key, bits, padding, digest, NOW)
    assert (found.strength, found.until) == (strength, until)


def test_an_algorithm_ends_on_its_day() -> None:
    before = datetime(2028, 12, 31, 23, 59, tzinfo=UTC)
    after = datetime(2029, 1, 1, tzinfo=UTC)
    assert POLICY.signature("rsa", 3072, "pkcs1", "sha256", before).strength == "legacy"
    assert POLICY.signature("rsa", 3072, "pkcs1", "sha256", after).strength == "weak"


def test_it_survives_the_way_to_another_process() -> None:
    assert AlgorithmPolicy.from_data(POLICY.to_dict()) == POLICY


@pytest.mark.parametrize(
    "text",
    [
        "policy: x",
        "policy: x\ndigests: {sha256: {until: soon}}\nkeys: []",
        "policy: x\ndigests: {sha256: {unitl: 2029-01-01}}\nkeys: []",
        "policy: x\ndigests: {}\nkeys: [{algorithm: rsa}]",
        "policy: x\ndigests: {}\nkeys: [{algorithm: rsa, bits: many}]",
        "[",
        "",
    ],
)
def test_a_wrong_policy_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"mine\.yaml"):
        AlgorithmPolicy.from_file(path)


def test_a_missing_policy_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml"):
        AlgorithmPolicy.from_file(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("curve", "family"),
    [
        ("secp256r1", "ecdsa"),
        ("secp521r1", "ecdsa"),
        ("brainpoolP384r1", "ecdsa"),
        ("secp256k1", "ecdsa-secp256k1"),
        ("sect571r1", "ecdsa-sect571r1"),
    ],
)
def test_a_curve_that_the_catalogue_does_not_know_is_a_kind_of_its_own(
    curve: str, family: str
) -> None:
    assert ec_family(curve) == family


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sha256", "SHA-256"),
        ("sha1", "SHA-1"),
        ("sha512_256", "SHA-512/256"),
        ("sha3_384", "SHA3-384"),
        ("shake256_len", "SHAKE256"),
        ("md5", "MD5"),
    ],
)
def test_a_digest_is_shown_as_people_write_it(name: str, shown: str) -> None:
    assert digest_in_words(name) == shown
