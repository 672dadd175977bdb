"""The dated policy decides which keys and hashes may make new signatures, with a margin."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import NameOID

from docflow.kernel.errors import ConfigurationError, ConflictError
from docflow.signing.dated import NewSignatures
from docflow.signing.identity import SignerIdentity
from docflow.signing.signers import Signers
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from tests.unit.signing.forge import NOW, PASSPHRASE, Forge, Recipe, rsa_key

DAYS = timedelta(days=30)


def policy(**ends: date) -> AlgorithmPolicy:
    """Return the shipped policy with other ends: of a digest, of `ecdsa` or of `pkcs1` keys."""
    data: dict[str, Any] = shipped_policy().to_dict()
    for name, end in ends.items():
        if name in data["digests"]:
            data["digests"][name]["until"] = end
        for rule in data["keys"]:
            if name in {rule["algorithm"], rule["padding"]}:
                rule["until"] = end
    return AlgorithmPolicy.from_data(data)


def in_days(days: int) -> date:
    return (NOW + timedelta(days=days)).date()


def load(path: Path, forge: Forge, rules: NewSignatures) -> SignerIdentity:
    return SignerIdentity.from_pkcs12(
        path, PASSPHRASE, roots=forge.roots, now=NOW, expect="person", algorithms=rules
    )


@pytest.mark.parametrize("end", [{"ecdsa": in_days(-1)}, {"sha256": in_days(0)}])
def test_what_ended_is_refused_at_the_start(
    forge: Forge, signer_file: Path, end: dict[str, date]
) -> None:
    forge.identity(signer_file)
    with pytest.raises(
        ConfigurationError, match=r"signs with ECDSA secp256r1 and SHA-256"
    ) as caught:
        load(signer_file, forge, NewSignatures(policy(**end)))
    assert caught.value.code == "algorithm-out-of-policy"
    assert f"proves nothing from {next(iter(end.values()))}" in caught.value.detail
    assert str(signer_file) in caught.value.detail


@pytest.mark.parametrize(("days", "fits"), [(30, False), (31, True)])
def test_what_ends_within_the_margin_is_refused_at_the_start(
    forge: Forge, signer_file: Path, days: int, fits: bool
) -> None:
    forge.identity(signer_file)
    rules = NewSignatures(policy(ecdsa=in_days(days)), DAYS)
    if fits:
        load(signer_file, forge, rules)
        return
    with pytest.raises(ConfigurationError) as caught:
        load(signer_file, forge, rules)
    assert caught.value.code == "algorithm-out-of-policy"


def test_a_chain_is_held_to_the_policy_as_well(forge: Forge, signer_file: Path) -> None:
    issuer = forge.issue(
        Recipe(
            {NameOID.COMMON_NAME: "RSA authority"}, rsa_key(), authority=True,
            usage=frozenset({"key_cert_sign"}),
        ),
        forge.root,
    )  # fmt: skip
    forge.authority, before = issuer, forge.authority
    try:
        forge.pack(signer_file, forge.issue(Recipe()))
    finally:
        forge.authority = before
    load(signer_file, forge, NewSignatures(policy(), DAYS))  # PKCS#1 v1.5 ends in 2029
    with pytest.raises(ConfigurationError, match=r"signed with RSA 3072 PKCS#1 v1\.5 and SHA-256"):
        load(signer_file, forge, NewSignatures(policy(pkcs1=in_days(20)), DAYS))


def test_a_key_that_came_of_age_while_the_service_ran_signs_no_more(
    forge: Forge, tmp_path: Path
) -> None:
    person = forge.identity(tmp_path / "person.p12")
    organisation = forge.identity(tmp_path / "seal.p12", "organisation")
    rules = NewSignatures(policy(ecdsa=in_days(40)), DAYS)
    signers = Signers(
        seal=organisation, people={"lan": person}, own_roots=forge.roots, roots=forge.roots,
        algorithms=rules,
    )  # fmt: skip
    assert signers.seal(NOW) is organisation
    assert signers.person("lan", "Lan", NOW) is person
    later = NOW + timedelta(days=10)
    with pytest.raises(ConflictError, match="cannot sign now") as caught:
        signers.seal(later)
    assert caught.value.code == "algorithm-out-of-policy"
    with pytest.raises(ConflictError, match="cannot sign now") as caught:
        signers.person("lan", "Lan", later)
    assert caught.value.code == "algorithm-out-of-policy"


def test_an_algorithm_that_the_policy_does_not_list_signs_nothing(
    forge: Forge, signer_file: Path
) -> None:
    forge.identity(signer_file)
    data = shipped_policy().to_dict()
    data["keys"] = [rule for rule in data["keys"] if rule["algorithm"] != "ecdsa"]
    rules = replace(NewSignatures(), policy=AlgorithmPolicy.from_data(data))
    with pytest.raises(ConfigurationError, match="which the algorithm policy does not accept"):
        load(signer_file, forge, rules)
