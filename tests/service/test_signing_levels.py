"""Every level, judged by tools and functions that docflow did not write; and what the gate refuses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import parser
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation.ades import (
    ades_basic_validation,
    ades_lta_validation,
    ades_with_time_validation,
)
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from docflow.kernel.errors import IntegrityError
from docflow.signing.ades import levels_reached
from docflow.signing.levels import LEVELS, Level, for_person
from docflow.signing.pades import Sealed, seal, sign_person
from docflow.signing.strict import SignedFile, validate_release
from tests.levels_support import longterm
from tests.pki_support import LivePki
from tests.service.signing_office import sign_anyhow
from tests.unit.signing.forge import make_pdf, run


def released(pki: LivePki, folder: Path, level: Level) -> Sealed:
    makes, now = longterm(pki), pki.now()
    (folder / "a.pdf").write_bytes(make_pdf("Điều 1", pages=2))
    sign_person(folder / "a.pdf", folder / "b.pdf", pki.identity("person", "person"), now=now,
                level=for_person(level), longterm=makes)  # fmt: skip
    return seal(folder / "b.pdf", folder / "c.pdf", pki.identity("seal", "organisation"), now=now,
                level=level, longterm=makes)  # fmt: skip


def gate(pki: LivePki, path: Path, level: Level) -> SignedFile:
    return validate_release(
        path, pki.roots, person=pki.certificate("person"), seal=pki.certificate("seal"),
        now=pki.now(), person_level=for_person(level), seal_level=level,
    )  # fmt: skip


def by_pyhanko(pki: LivePki, path: Path, level: Level) -> list[object]:
    """Return what pyHanko's function for the level says of each signature."""
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=list(pki.roots.asn1)),
        revinfo_policy=CertRevTrustPolicy(
            RevocationCheckingPolicy.from_legacy("require" if level == "B-LTA" else "soft-fail")
        ),
    )
    spec = SignatureValidationSpec(
        cert_validation_policy=policy,
        revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
    )
    timing = ValidationTimingInfo(pki.now(), pki.now(), point_in_time_validation=True)
    found: list[object] = []
    judged: Any
    with path.open("rb") as file:
        for one in PdfFileReader(file).embedded_regular_signatures:
            one.compute_integrity_info()
            if level == "B-LTA":
                judged = ades_lta_validation(one, PdfSignatureValidationSpec(spec), timing)
            else:
                judge: Any = ades_basic_validation if level == "B-B" else ades_with_time_validation
                judged = judge(
                    one.signed_data, spec, timing_info=timing, raw_digest=one.compute_digest()
                )
            found.append(asyncio.run(judged).ades_subindic)
    return found


def by_openssl(pki: LivePki, path: Path, folder: Path) -> None:
    """Have OpenSSL judge each signature and time stamp over the very bytes that it covers."""
    data = path.read_bytes()
    with path.open("rb") as file:
        reader = PdfFileReader(file)
        for one in (*reader.embedded_regular_signatures, *reader.embedded_timestamp_signatures):
            start, length, after, rest = map(int, one.byte_range)
            (folder / "signed").write_bytes(
                data[start : start + length] + data[after : after + rest]
            )
            content = one.pkcs7_content
            (folder / "sig.der").write_bytes(content[: parser.peek(content)])
            if one.sig_object_type == "/DocTimeStamp":
                run("openssl", "ts", "-verify", "-data", folder / "signed", "-token_in",
                    "-in", folder / "sig.der", "-CAfile", pki.pem("root"), "-untrusted",
                    pki.pem("tsa-authority"), "-attime", str(int(pki.now().timestamp())))  # fmt: skip
            else:
                run("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in",
                    folder / "sig.der", "-content", folder / "signed", "-CAfile",
                    pki.pem("root"), "-purpose", "any", "-no_check_time", "-out",
                    folder / "out")  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_is_what_it_says_to_everyone(pki: LivePki, tmp_path: Path, level: Level) -> None:
    made = released(pki, tmp_path, level)
    assert made.level == level
    path = made.path
    shown = run("pdfsig", "-nocert", path)
    assert shown.count("Signature is Valid") == 2
    assert shown.count("Signature #") == (3 if level == "B-LTA" else 2)
    assert "checking" in run("qpdf", "--check", path)
    by_openssl(pki, path, tmp_path)
    assert by_pyhanko(pki, path, level) == [AdESPassed.OK] * 2
    reached = levels_reached(path, pki.roots, now=pki.now())
    # the seal's archive time stamp and evidence carry the personal signature too
    assert [one.level for one in reached] == [level, level]
    judged = gate(pki, path, level)
    assert judged.seal_level == level
    assert len(judged.archive_stamps) == (level == "B-LTA")


@pytest.mark.parametrize(("made", "wanted"), [("B-B", "B-T"), ("B-T", "B-LT"), ("B-LT", "B-LTA")])
def test_the_gate_refuses_a_level_below_the_one_that_was_asked_for(
    pki: LivePki, tmp_path: Path, made: Level, wanted: Level
) -> None:
    path = released(pki, tmp_path, made).path
    with pytest.raises(IntegrityError) as caught:
        gate(pki, path, wanted)
    assert caught.value.code == "release-not-valid"


def test_the_gate_admits_archive_time_stamps_and_nothing_else_after_the_seal(
    pki: LivePki, tmp_path: Path
) -> None:
    path = released(pki, tmp_path, "B-LTA").path
    more = sign_anyhow(path, tmp_path / "more.pdf", pki.identity("person", "person"),
                       field_name="Third")  # fmt: skip
    with pytest.raises(IntegrityError) as caught:
        gate(pki, more, "B-LTA")
    assert "3 signatures" in caught.value.detail
    with pytest.raises(IntegrityError):
        gate(pki, path, "B-LT")  # an archive time stamp that nobody asked for
    data = path.read_bytes()
    (tmp_path / "tail.pdf").write_bytes(data + b"\n%%EOF\n")
    with pytest.raises(IntegrityError):
        gate(pki, tmp_path / "tail.pdf", "B-LTA")
    for place in range(len(data) - 60_000 if len(data) > 60_000 else 100, len(data), 4001):
        changed = bytearray(data)
        changed[place] ^= 1
        (tmp_path / "bad.pdf").write_bytes(changed)
        with pytest.raises(IntegrityError):
            gate(pki, tmp_path / "bad.pdf", "B-LTA")


def test_an_archive_time_stamp_of_an_unknown_authority_is_refused(
    pki: LivePki, tmp_path: Path
) -> None:
    path = released(pki, tmp_path, "B-LTA").path
    with pytest.raises(IntegrityError, match="Archive1 is INDETERMINATE"):
        validate_release(
            path, type(pki.roots)((pki.certificate("authority"),)),
            person=pki.certificate("person"), seal=pki.certificate("seal"), now=pki.now(),
            person_level="B-LT", seal_level="B-LTA",
        )  # fmt: skip
