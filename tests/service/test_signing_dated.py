"""The release's gate and the verifier hold signatures to the same dated policy, at the time they prove."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError, IntegrityError
from docflow.signing.containing import validate_detached
from docflow.signing.dated import NewSignatures
from docflow.signing.detached import sign_detached
from docflow.signing.levels import Level
from docflow.signing.pades import seal, sign_person
from docflow.signing.report import VerificationReport
from docflow.signing.signed import Expected
from docflow.signing.strict import validate_person_signed, validate_release
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify
from docflow.signing.verifying.algorithms import AlgorithmPolicy
from docflow.signing.verifying.terms import Policy
from tests.levels_support import longterm, office_at
from tests.pki_support import LivePki
from tests.unit.signing.forge import Forge, make_pdf
from tests.unit.signing.test_signing_dated import policy

MARGIN = timedelta(days=30)


@pytest.fixture
def released(pki: LivePki, tmp_path: Path) -> Path:
    """A file with a personal signature at B-B and a seal at B-T."""
    now = pki.now()
    (tmp_path / "a.pdf").write_bytes(make_pdf("Điều 1"))
    sign_person(tmp_path / "a.pdf", tmp_path / "b.pdf", pki.identity("person", "person"), now=now)
    seal(
        tmp_path / "b.pdf", tmp_path / "c.pdf", pki.identity("seal", "organisation"), now=now,
        level="B-T", longterm=longterm(pki, "tsa"),
    )  # fmt: skip
    return tmp_path / "c.pdf"


def gate(path: Path, pki: LivePki, dated: AlgorithmPolicy, after: timedelta) -> None:
    validate_release(
        path, pki.roots, person=pki.certificate("person"), seal=pki.certificate("seal"),
        now=pki.now() + after, seal_level="B-T", algorithms=NewSignatures(dated, MARGIN),
    )  # fmt: skip


def ends(pki: LivePki, days: int) -> date:
    return (pki.now() + timedelta(days=days)).date()


class TestGate:
    def test_an_algorithm_that_ends_after_the_margin_passes(
        self, released: Path, pki: LivePki
    ) -> None:
        gate(released, pki, policy(ecdsa=ends(pki, 31)), timedelta(0))

    @pytest.mark.parametrize("days", [0, 30])
    def test_a_key_that_ended_or_ends_within_the_margin_is_refused_by_name(
        self, released: Path, pki: LivePki, days: int
    ) -> None:
        with pytest.raises(IntegrityError) as caught:
            gate(released, pki, policy(ecdsa=ends(pki, days)), timedelta(0))
        assert caught.value.code == "algorithm-out-of-policy"
        reasons = caught.value.extra["reasons"]
        assert [one.split(" uses ")[0] for one in reasons] == [
            "The signature Person", "The signature Seal"
        ]  # fmt: skip
        assert all("which proves nothing" in one for one in reasons)

    def test_a_hash_that_ended_is_refused_by_name(self, released: Path, pki: LivePki) -> None:
        with pytest.raises(IntegrityError) as caught:
            gate(released, pki, policy(sha256=ends(pki, -1)), timedelta(0))
        assert caught.value.code == "algorithm-out-of-policy"

    def test_each_signature_is_judged_at_the_time_that_it_proves(
        self, released: Path, pki: LivePki
    ) -> None:
        dated = policy(ecdsa=ends(pki, 40))
        with pytest.raises(IntegrityError) as caught:  # 20 days on, 20 days before the end
            gate(released, pki, dated, timedelta(days=20))
        (reason,) = caught.value.extra["reasons"]
        assert reason.startswith("The signature Person")  # the seal has its time stamp

    def test_a_personal_signature_is_held_to_it_before_the_seal(
        self, released: Path, pki: LivePki
    ) -> None:
        with pytest.raises(IntegrityError) as caught:
            validate_person_signed(
                released.parent / "b.pdf", pki.roots, person=pki.certificate("person"),
                now=pki.now(), algorithms=NewSignatures(policy(ecdsa=ends(pki, 9)), MARGIN),
            )  # fmt: skip
        assert caught.value.code == "algorithm-out-of-policy"

    def test_a_signature_beside_an_annex_is_held_to_it(self, pki: LivePki, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("1;2\n")
        identity = pki.identity("person", "person")
        sign_detached(tmp_path / "a.csv", tmp_path / "a.p7s", identity, now=pki.now())
        with pytest.raises(IntegrityError) as caught:
            validate_detached(
                tmp_path / "a.p7s", tmp_path / "a.csv", pki.roots,
                persons=[Expected(identity.certificate)], now=pki.now(),
                algorithms=NewSignatures(policy(ecdsa=ends(pki, 9)), MARGIN),
            )  # fmt: skip
        assert caught.value.code == "algorithm-out-of-policy"


class TestVerifier:
    def judged(
        self, path: Path, pki: LivePki, dated: AlgorithmPolicy, own: TrustRoots | None = None
    ) -> VerificationReport:
        later, terms = pki.now() + timedelta(days=60), Policy(algorithms=dated)
        return verify(path, pki.roots, now=later, own_roots=own or pki.roots, policy=terms)

    @pytest.mark.parametrize(
        ("level", "strength", "verdict"),
        [
            ("B-B", "weak", ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")),
            ("B-T", "legacy", ("TOTAL-PASSED", None)),
        ],
    )
    def test_strength_counts_at_the_time_that_a_signature_proves_and_else_at_validation(
        self, pki: LivePki, tmp_path: Path, level: Level, strength: str, verdict: tuple[str, str]
    ) -> None:
        forge = (
            Forge()
        )  # its signer hashes by SHA-384, which ends; the authority's token by SHA-256
        signer = forge.identity(
            tmp_path / "person.p12", key=ec.generate_private_key(ec.SECP384R1())
        )
        (tmp_path / "a.pdf").write_bytes(make_pdf("Điều 1"))
        sign_person(
            tmp_path / "a.pdf", tmp_path / "b.pdf", signer, now=pki.now(), level=level,
            longterm=longterm(pki, "tsa") if level == "B-T" else None,
        )  # fmt: skip
        ended = policy(sha384=ends(pki, 40))
        (one,) = self.judged(tmp_path / "b.pdf", pki, ended, forge.roots).signatures
        assert (one.indication, one.sub_indication) == verdict
        assert (one.strength, one.algorithm_until) == (strength, ends(pki, 40))

    def test_a_time_stamp_in_an_algorithm_that_ended_proves_no_time(
        self, released: Path, pki: LivePki
    ) -> None:
        report = self.judged(released, pki, policy(ecdsa=ends(pki, -1)))
        for one in report.signatures:
            assert (one.indication, one.strength) == ("INDETERMINATE", "weak")


def test_the_start_is_refused_where_the_seal_does_not_last(
    pki: LivePki, tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    named = tmp_path / "algorithms.yaml"
    text = "policy: mine\ndigests: {sha256: {}}\nkeys: [{algorithm: ecdsa, bits: 256, until: 2026-03-20}]\n"
    named.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        office_at(tmp_path, prepared, clock, pki, algorithms_file=named)
    assert caught.value.code == "algorithm-out-of-policy"
    assert "from 2026-03-20 on" in caught.value.detail
    (tmp_path / "near").mkdir()
    office = office_at(
        tmp_path / "near", prepared, clock, pki, algorithms_file=named, algorithm_margin_days=7
    )
    assert office.services.keeper.policy.name == "mine"
    office.close()
