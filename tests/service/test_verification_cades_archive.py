"""Archive time stamps inside CAdES signatures (ATSv3): what they prove decades on, and forged ones not."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core
from asn1crypto.crl import CertificateList

from docflow.signing.incms import joined
from docflow.signing.report import PASSED, SignatureReport, VerificationReport
from docflow.signing.verifying.terms import Policy
from tests.ats_support import (
    ARCHIVE_STAMP,
    Octets,
    Wrong,
    archived,
    attribute,
    read,
    stamps_in,
    tlv,
    with_attribute,
    with_lists,
)
from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge
from tests.verification_support import Maker, container, manifest

DATA = "Công văn số 15/CV-VP".encode()
IN_2031, IN_2036 = START.replace(year=2031), START.replace(year=2036)
STRICT = Policy(revocation="required")
OID_OF_SHA256 = core.ObjectIdentifier("2.16.840.1.101.3.4.2.1").dump()
SIGNATURE_STAMP = "1.2.840.113549.1.9.16.2.14"


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


@pytest.fixture
def b_lt(maker: Maker) -> bytes:
    """A detached signature at B-LT, with its lists, by a person whose certificate ends in 2028."""
    return with_lists(maker.cades(DATA, tsa="tsa"), maker)


def one_of(report: VerificationReport) -> SignatureReport:
    (one,) = report.signatures
    return one


def outlives(maker: Maker, der: bytes, wrong: Wrong | None = None) -> bytes:
    """Return it with an archive time stamp of an authority that lasts until 2040."""
    return archived(der, DATA, maker, "tsa-second", wrong or Wrong())


def renewed(maker: Maker, der: bytes, at: datetime = IN_2031) -> bytes:
    maker.pki.now = lambda: at
    return outlives(maker, with_lists(der, maker))


class TestGood:
    def test_one_over_everything_makes_b_lta(self, judge: Judge, maker: Maker, b_lt: bytes) -> None:
        assert one_of(judge(b_lt, data=DATA)).level == "B-LT"
        one = one_of(judge(archived(b_lt, DATA, maker), data=DATA))
        assert (one.indication, one.level, one.revocation) == (PASSED, "B-LTA", "good")
        assert [(stamp.kind, stamp.indication) for stamp in one.timestamps] == [
            ("signature", PASSED), ("document", PASSED),
        ]  # fmt: skip
        assert one.timestamps[1].authority == one.timestamps[0].authority

    def test_it_outlives_the_certificates_of_signer_and_signature_time_stamp(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        plain = judge(b_lt, IN_2036, data=DATA)
        assert (plain.indication, plain.sub_indication) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
        one = one_of(judge(outlives(maker, b_lt), IN_2036, data=DATA))
        assert (one.indication, one.level, one.proven_at) == (PASSED, "B-LTA", START)

    def test_one_that_ended_is_carried_by_the_next(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        first = archived(b_lt, DATA, maker)  # its authority ends with 2031
        assert one_of(judge(first, IN_2036, data=DATA)).indication == "INDETERMINATE"
        one = one_of(judge(renewed(maker, first), IN_2036, data=DATA))
        assert (one.indication, one.level, one.proven_at) == (PASSED, "B-LTA", START)
        assert [stamp.at for stamp in one.timestamps] == [START, START, IN_2031]
        assert {stamp.indication for stamp in one.timestamps} == {PASSED}

    def test_a_renewal_that_came_too_late_carries_nothing(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        first = archived(b_lt, DATA, maker)
        late = renewed(maker, first, START.replace(year=2033))
        assert one_of(judge(late, IN_2036, data=DATA)).indication == "INDETERMINATE"

    def test_data_inside_counts_alike(self, judge: Judge, maker: Maker) -> None:
        signed = with_lists(maker.cades(DATA, tsa="tsa", detached=False), maker)
        one = one_of(judge(outlives(maker, signed), IN_2036))
        assert (one.indication, one.level) == (PASSED, "B-LTA")

    def test_in_asic_s_it_counts_and_in_asic_e_it_does_not(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        simple = container(
            {"a.txt": DATA, "META-INF/signature.p7s": outlives(maker, b_lt)},
            "application/vnd.etsi.asic-s+zip",
        )
        one = one_of(judge(simple, IN_2036))
        assert (one.indication, one.level) == (PASSED, "B-LTA")
        # there, it would be over the manifest, whose digests of the files nothing renews
        named = manifest("META-INF/signature001.p7s", {"a.txt": DATA})
        signature = with_lists(maker.cades(named, tsa="tsa"), maker)
        extended = container(
            {
                "a.txt": DATA,
                "META-INF/ASiCManifest001.xml": named,
                "META-INF/signature001.p7s": archived(signature, named, maker, "tsa-second"),
            }
        )
        assert one_of(judge(extended)).level == "B-LT"
        assert one_of(judge(extended, IN_2036)).indication == "INDETERMINATE"

    def test_what_came_after_it_takes_nothing_away(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        more = with_attribute(outlives(maker, b_lt), "1.3.6.1.4.1.99999.1", tlv(0x0C, b"x"))
        one = one_of(judge(more, IN_2036, data=DATA))
        assert (one.indication, one.level) == (PASSED, "B-LTA")


def garbage(at: bytes) -> bytes:
    return at[:-1] + bytes([at[-1] ^ 1])


FORGED: dict[str, Wrong] = {
    "a certificate that is not there": Wrong(more=("certificates",)),
    "a list that is not there": Wrong(more=("crls",)),
    "an attribute that is not there": Wrong(more=("attributes",)),
    "an index by another digest": Wrong(index_by="sha512"),
    "an index by a weak digest": Wrong(index_by="sha1"),
    "the data by another digest": Wrong(data_by="sha512"),
    "other octets": Wrong(stamped=garbage),
    "the signer's octets twice": Wrong(stamped=lambda octets: octets + octets),
    "no index": Wrong(indexes=0),
    "two indexes": Wrong(indexes=2),
    "an index changed afterwards": Wrong(index=garbage),
    "an index with something behind it": Wrong(
        index=lambda der: tlv(0x30, read(der)[1], b"\x05\x00")
    ),
    "an index that is not whole": Wrong(index=lambda der: tlv(0x30, der[2:])),
    "an index by a digest that nobody knows": Wrong(
        index=lambda der: der.replace(OID_OF_SHA256, OID_OF_SHA256[:-1] + b"\x63")
    ),
    "an index that is none": Wrong(index=lambda _: tlv(0x0C, b"index")),
}


class TestForged:
    @pytest.mark.parametrize("wrong", FORGED.values(), ids=FORGED)
    def test_a_stamp_that_is_not_right_proves_nothing_and_says_why(
        self, judge: Judge, maker: Maker, b_lt: bytes, wrong: Wrong
    ) -> None:
        forged = outlives(maker, b_lt, wrong)
        now = one_of(judge(forged, data=DATA))
        assert (now.indication, now.level) == (PASSED, "B-LT")  # as without it
        (stamp,) = [one for one in now.timestamps if one.kind == "document"]
        assert stamp.indication == "TOTAL-FAILED"
        assert stamp.sub_indication in ("HASH_FAILURE", "FORMAT_FAILURE")
        assert any("proves nothing" in reason for reason in now.reasons)
        later = judge(forged, IN_2036, data=DATA)
        assert (later.indication, later.sub_indication) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")

    @pytest.mark.parametrize(
        "without",
        [
            ("certificates.*",), ("crls.*",), ("attributes.*",),
            ("certificates.*", "crls.*", "attributes.*"), ("crls.0",), ("crls.1",), ("crls.2",),
        ],
        ids=",".join,
    )  # fmt: skip
    def test_what_the_index_leaves_out_is_not_proven(
        self, judge: Judge, maker: Maker, b_lt: bytes, without: tuple[str, ...]
    ) -> None:
        partial = outlives(maker, b_lt, Wrong(without=without))
        needed = [one for one in without if one not in spare(b_lt)]
        assert needed or without[0].startswith("crls.")
        now, later = (one_of(judge(partial, at, data=DATA)) for at in (START, IN_2036))
        assert now.level == ("B-LT" if needed else "B-LTA")
        assert later.indication == ("INDETERMINATE" if needed else PASSED)
        assert needed or later.level == "B-LTA"

    @pytest.mark.parametrize("part", ["certificates", "crls", "unsigned"])
    def test_what_was_taken_away_afterwards_breaks_it(
        self, judge: Judge, maker: Maker, b_lt: bytes, part: str
    ) -> None:
        made = outlives(maker, b_lt)
        stamp = stamps_in(made)[0]
        for number in range(len(getattr(Octets.of(made), part))):
            parts = Octets.of(made)
            taken = getattr(parts, part).pop(number)
            if stamp in taken:
                continue
            later = judge(parts.der(), IN_2036, data=DATA)
            assert later.indication != PASSED, number

    @pytest.mark.parametrize("tsa", ["stranger-tsa", "tsa-revoked", "not-a-tsa"])
    def test_one_of_an_authority_that_does_not_count_proves_nothing(
        self, judge: Judge, maker: Maker, b_lt: bytes, tsa: str
    ) -> None:
        made = archived(b_lt, DATA, maker, tsa)
        assert one_of(judge(made, data=DATA)).level == "B-LT"
        assert one_of(judge(made, data=DATA)).indication == PASSED
        assert judge(made, START.replace(year=2033), data=DATA).indication != PASSED

    def test_one_of_another_signature_proves_nothing(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        other = outlives(maker, with_lists(maker.cades(DATA, tsa="tsa"), maker))
        stolen = with_attribute(b_lt, ARCHIVE_STAMP, stamps_in(other)[0])
        assert one_of(judge(stolen, data=DATA)).level == "B-LT"
        assert judge(stolen, IN_2036, data=DATA).indication != PASSED

    def test_other_data_fails(self, judge: Judge, maker: Maker, b_lt: bytes) -> None:
        report = judge(outlives(maker, b_lt), IN_2036, data=DATA + b"!")
        assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_without_its_data_nothing_is_said(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        assert judge(outlives(maker, b_lt)).sub_indication == "SIGNED_DATA_NOT_FOUND"

    def test_one_over_a_signature_without_a_time_stamp_is_not_b_lta(
        self, judge: Judge, maker: Maker
    ) -> None:
        bare = with_lists(maker.cades(DATA), maker)
        assert one_of(judge(outlives(maker, bare), data=DATA)).level == "B-B"
        assert judge(outlives(maker, bare), IN_2036, data=DATA).indication != PASSED

    def test_one_without_any_list_is_not_b_lta(self, judge: Judge, maker: Maker) -> None:
        bare = maker.cades(DATA, tsa="tsa")
        assert one_of(judge(outlives(maker, bare), data=DATA)).level == "B-T"
        assert judge(outlives(maker, bare), IN_2036, data=DATA).indication != PASSED

    def test_one_of_an_earlier_time_over_a_later_one_is_out_of_order(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        maker.pki.now = lambda: IN_2031
        later = outlives(maker, b_lt)
        maker.pki.now = lambda: START
        report = judge(archived(later, DATA, maker), START.replace(year=2031, month=4), data=DATA)
        wrong = [one for one in one_of(report).timestamps if one.indication != PASSED]
        assert [one.sub_indication for one in wrong] == ["TIMESTAMP_ORDER_FAILURE"]

    def test_one_of_before_the_signature_time_stamp_is_not_b_lta(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        maker.pki.now = lambda: START.replace(month=2, day=20)
        made = outlives(maker, b_lt)
        assert one_of(judge(made, data=DATA)).level != "B-LTA"
        assert judge(made, IN_2036, data=DATA).indication != PASSED

    def test_more_than_there_may_be_are_not_judged(
        self, judge: Judge, maker: Maker, b_lt: bytes
    ) -> None:
        (stamp,) = stamps_in(outlives(maker, b_lt))
        crowd = Octets.of(b_lt)
        crowd.unsigned.append(attribute(ARCHIVE_STAMP, *[stamp] * 17))
        one = one_of(judge(crowd.der(), data=DATA))
        assert one.level == "B-LT"
        assert any("more than 16 archive time stamps" in reason for reason in one.reasons)

    @pytest.mark.parametrize(
        "value", [b"\x05\x00", tlv(0x30), tlv(0x04, b"token"), b"\x30\x03\x06\x01"]
    )
    def test_what_is_no_token_is_told(self, judge: Judge, b_lt: bytes, value: bytes) -> None:
        report = judge(with_attribute(b_lt, ARCHIVE_STAMP, value), data=DATA)
        assert report.signatures[0].level in ("B-LT", "none")
        assert report.indication != PASSED or any(
            "archive time stamp cannot be read" in reason for reason in one_of(report).reasons
        )


class TestRevoked:
    """The signer's key was stolen: revoked on 2026-02-01, used on 2026-03-02."""

    @pytest.fixture
    def stolen(self, maker: Maker) -> bytes:
        return with_lists(maker.cades(DATA, label="revoked", tsa="tsa"), maker)

    def test_a_stamp_heals_no_revoked_signer(
        self, judge: Judge, maker: Maker, stolen: bytes
    ) -> None:
        for at in (START, IN_2031, IN_2036):
            assert judge(outlives(maker, stolen), at, data=DATA).indication != PASSED

    def test_a_signature_time_stamp_that_came_after_it_counts_only_by_itself(
        self, judge: Judge, maker: Maker, stolen: bytes
    ) -> None:
        """Of an authority whose key was stolen too, once it had ended: of before the revocation."""
        made = outlives(maker, stolen)
        maker.pki.now = lambda: datetime(2026, 1, 15, tzinfo=START.tzinfo)
        value = cms.ContentInfo.load(made)["content"]["signer_infos"][0]["signature"].native
        forged = with_attribute(made, SIGNATURE_STAMP, maker.token(value))
        assert judge(forged, IN_2036, data=DATA).indication != PASSED

    @pytest.mark.parametrize("policy", [None, STRICT], ids=["accepted", "required"])
    def test_a_list_that_came_after_it_still_accuses(
        self, judge: Judge, maker: Maker, policy: Policy | None
    ) -> None:
        moment = datetime(2026, 2, 1, 2, tzinfo=START.tzinfo)
        maker.pki.now = lambda: moment
        bare = maker.cades(DATA, label="revoked", tsa="tsa")
        maker.pki.now = lambda: moment - timedelta(hours=4)
        unknowing = with_lists(bare, maker)  # fresh at the moment, and of before the revocation
        maker.pki.now = lambda: moment
        sealed = outlives(maker, unknowing)
        assert one_of(judge(sealed, moment, data=DATA, policy=policy)).level == "B-LTA"
        maker.pki.now = lambda: START
        made = with_lists(sealed, maker)
        for at in (START, IN_2036):
            assert judge(made, at, data=DATA, policy=policy).indication != PASSED


def test_a_stamp_of_a_revoked_authority_is_not_healed_by_one_that_leaves_the_lists_out(
    judge: Judge, maker: Maker, b_lt: bytes
) -> None:
    first = archived(b_lt, DATA, maker, "tsa-revoked")
    later = START.replace(month=5)
    maker.pki.now = lambda: later
    second = outlives(maker, first, Wrong(without=("crls.*",)))
    for at in (later, IN_2036):
        one = one_of(judge(second, at, data=DATA))
        assert one.level != "B-LTA"
        stamps = [stamp.indication for stamp in one.timestamps if stamp.kind == "document"]
        assert stamps == ["INDETERMINATE", PASSED]
    assert judge(second, IN_2036, data=DATA).indication != PASSED


def test_of_two_signers_each_has_their_own(judge: Judge, maker: Maker, b_lt: bytes) -> None:
    other = maker.cades(DATA, label="person-second")
    report = judge(joined(outlives(maker, b_lt), other), data=DATA)
    assert sorted(one.level for one in report.signatures) == ["B-B", "B-LTA"]
    swapped = joined(other, outlives(maker, b_lt))
    report = judge(swapped, IN_2036, data=DATA)
    assert sorted((one.level, one.indication) for one in report.signatures) == [
        ("B-B", "INDETERMINATE"), ("B-LTA", PASSED),
    ]  # fmt: skip


def spare(der: bytes) -> set[str]:
    """Return the places of lists that nothing needs: the root's, which lists no authority of these."""
    found = set()
    for number, one in enumerate(Octets.of(der).crls):
        issuer = CertificateList.load(one).issuer.native["common_name"]
        if issuer not in ("Gốc thử nghiệm", "CA thử nghiệm", "CA dấu thời gian"):
            found.add(f"crls.{number}")
    return found


def test_no_changed_octet_makes_it_pass_but_in_what_nothing_needs(
    judge: Judge, maker: Maker, b_lt: bytes
) -> None:
    made = outlives(maker, b_lt)
    (stamp,) = stamps_in(made)
    begins = made.index(stamp)
    chosen = random.Random(20_261_126)  # noqa: S311 - repeatable, no secret
    for _ in range(150):
        at = chosen.randrange(len(made))
        changed = made[:at] + bytes([made[at] ^ (1 << chosen.randrange(8))]) + made[at + 1 :]
        if judge(changed, IN_2036, data=DATA).indication == PASSED:
            # in the token: certificates of the authority that its path does not need
            assert begins <= at < begins + len(stamp), at
