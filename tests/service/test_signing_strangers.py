import os
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto.keys import PrivateKeyInfo
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from docflow.cli.hostile import make_hostile
from docflow.signing import isolated
from docflow.signing.isolated import verify_isolated
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots, to_asn1
from docflow.signing.validate import verify
from tests.service.signing_office import SigningOffice, contents
from tests.unit.signing.forge import NOW, Forge, Made, Recipe, make_pdf, rsa_key
from tests.verification_support import container
from tests.xades_support import NAME

NOBODY = TrustRoots(())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def released(office: SigningOffice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office.sealed(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def isolated_report(path: Path, **limits: float) -> VerificationReport:
    return verify_isolated(path, NOBODY, now=NOW, own_roots=NOBODY, **limits)  # type: ignore[arg-type]


class TestVerdicts:
    def test_an_unsigned_file_is_called_that(self) -> None:
        report = verify(BytesIO(make_pdf()), NOBODY, now=NOW, own_roots=NOBODY)
        assert (report.indication, report.signatures) == ("NOT-SIGNED", ())
        assert report.reasons == ("The file is not signed.",)

    def test_a_partner_is_trusted_but_not_ours(self, office: SigningOffice, released: Path) -> None:
        report = verify(released, office.roots, now=NOW, own_roots=Forge().roots)
        assert report.indication == "TOTAL-PASSED"
        assert [(one.trusted, one.ours) for one in report.signatures] == [(True, False)] * 2

    def test_a_stranger_is_intact_but_not_trusted(self, released: Path) -> None:
        report = verify(released, NOBODY, now=NOW, own_roots=NOBODY)
        assert (report.indication, report.sub_indication) == (
            "INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND",
        )  # fmt: skip
        for one in report.signatures:
            assert (one.intact, one.valid, one.trusted, one.ours) == (True, True, False, False)
            assert "does not lead to a configured root" in one.reasons[0]

    def test_an_expired_certificate_without_a_timestamp_proves_nothing(
        self, office: SigningOffice, released: Path
    ) -> None:
        later = NOW + timedelta(days=500)
        report = verify(released, NOBODY, now=later, own_roots=office.roots)
        assert (report.indication, report.sub_indication) == (
            "INDETERMINATE", "OUT_OF_BOUNDS_NO_POE",
        )  # fmt: skip

    def test_changed_bytes_are_a_hash_failure(self, office: SigningOffice, released: Path) -> None:
        data = bytearray(released.read_bytes())
        data[data.index(b"/MediaBox") + 12] ^= 1
        report = verify(BytesIO(data), NOBODY, now=NOW, own_roots=office.roots)
        assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_an_old_rsa_signature_is_accepted_with_a_warning(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        source = office.stamped(tmp_path / "a.pdf")
        path = _signed_elsewhere(source, tmp_path / "b.pdf", office.forge, bits=2048)
        (one,) = verify(path, office.roots, now=NOW, own_roots=NOBODY).signatures
        assert (one.indication, one.strength) == ("TOTAL-PASSED", "legacy")
        assert one.algorithm == "RSA 2048 (PKCS#1 v1.5), SHA-256"
        assert "no longer recommended" in one.reasons[-1]

    @pytest.mark.parametrize(
        ("bits", "digest", "sub_indication"),
        [
            (1024, "sha256", "CRYPTO_CONSTRAINTS_FAILURE"),
            (2048, "sha1", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"),  # good once: a proof would save it
        ],
    )
    def test_a_weak_signature_proves_nothing(
        self, office: SigningOffice, tmp_path: Path, bits: int, digest: str, sub_indication: str
    ) -> None:
        source = office.stamped(tmp_path / "a.pdf")
        path = _signed_elsewhere(source, tmp_path / "b.pdf", office.forge, bits, digest)
        report = verify(path, office.roots, now=NOW, own_roots=NOBODY)
        assert (report.indication, report.sub_indication) == ("INDETERMINATE", sub_indication)
        assert report.signatures[0].strength == "weak"

    def test_a_format_nobody_knows_is_not_hidden(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        data = office.signed(tmp_path).read_bytes()
        odd = data.replace(b"/ETSI.CAdES.detached", b"/ACME.Super.detached")
        report = verify(BytesIO(odd), NOBODY, now=NOW, own_roots=office.roots)
        (one,) = report.signatures
        assert (one.indication, one.format) == ("INDETERMINATE", "ACME.Super.detached")
        assert "cannot be judged" in one.reasons[0]

    def test_a_certificate_that_may_not_sign_proves_nothing(
        self, office: SigningOffice, tmp_path: Path
    ) -> None:
        made = office.forge.issue(Recipe(usage=frozenset({"key_encipherment"})))
        path = tmp_path / "b.pdf"
        _sign_with(office.stamped(tmp_path / "a.pdf"), path, office.forge, made, "sha256")
        report = verify(path, office.roots, now=NOW, own_roots=NOBODY)
        assert report.indication == "INDETERMINATE"
        assert not report.signatures[0].trusted

    @pytest.mark.parametrize(
        "content", [b"", b"00", b"3082ffff", b"30800000", b"ff" * 40, b"3003020101"]
    )
    def test_a_signature_that_is_none_is_a_format_failure(
        self, office: SigningOffice, released: Path, content: bytes
    ) -> None:
        data = released.read_bytes()
        (start, end), _ = contents(data)
        broken = data[:start] + content.ljust(end - start, b"0") + data[end:]
        report = verify(BytesIO(broken), NOBODY, now=NOW, own_roots=office.roots)
        assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert report.signatures[0].reasons


class TestHostile:
    def test_no_hostile_file_gets_more_than_a_verdict(self, hostile: dict[str, Path]) -> None:
        for name, path in hostile.items():
            report = isolated_report(path)
            assert report.indication in {"NOT-SIGNED", "TOTAL-FAILED", "INDETERMINATE"}, name
            assert report.reasons, name

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12)),
                 min_size=1, max_size=6)
    )  # fmt: skip
    def test_damage_anywhere_gives_a_verdict(
        self, released: Path, damage: list[tuple[float, bytes]]
    ) -> None:
        data = bytearray(released.read_bytes())
        for place, noise in damage:
            index = int(place * len(data))
            data[index : index + len(noise)] = noise
        report = verify(BytesIO(data), NOBODY, now=NOW, own_roots=NOBODY)
        assert report.indication != "TOTAL-PASSED"
        assert VerificationReport.from_dict(report.to_dict()) == report

    def test_a_missing_file_is_not_a_bad_one(self, tmp_path: Path) -> None:
        for check in (isolated_report, lambda p: verify(p, NOBODY, now=NOW, own_roots=NOBODY)):
            with pytest.raises(FileNotFoundError):
                check(tmp_path / "none.pdf")


class TestIsolated:
    def test_it_says_what_verify_says(self, office: SigningOffice, released: Path) -> None:
        here = verify(released, NOBODY, now=NOW, own_roots=office.roots)
        assert verify_isolated(released, NOBODY, now=NOW, own_roots=office.roots) == here

    def test_what_takes_too_long_is_broken_off(self, hostile: dict[str, Path]) -> None:
        isolated_report(hostile["empty"])  # the process is up
        before = time.monotonic()
        report = isolated_report(hostile["many-objects"], timeout_s=0.2)
        assert time.monotonic() - before < 5
        assert (report.indication, report.sub_indication) == ("INDETERMINATE", "GENERIC")
        assert "longer than it may" in report.reasons[0]

    def test_what_unpacks_to_too_much_is_not_unpacked(self, tmp_path: Path) -> None:
        path = tmp_path / "large.pdf"
        path.write_bytes(_object_stream_of(60 << 20))
        report = isolated_report(path, memory_bytes=300 << 20)
        assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    def test_whoever_runs_out_of_memory_the_file_is_not_to_blame(self, tmp_path: Path) -> None:
        """ZIP, XML and what is above them have errors of their own for it, or swallow it."""
        path = tmp_path / "large.asice"
        many = b"<a b='c'/>" * 400_000
        path.write_bytes(container({"a.txt": b"x", NAME: b"<x>" + many + b"</x>"}))
        found = {
            (report.indication, report.sub_indication, report.reasons)
            for mebibytes in range(60, 500, 20)
            for report in [isolated_report(path, memory_bytes=mebibytes << 20)]
        }
        verdicts = {one[:2] for one in found}
        assert ("INDETERMINATE", "GENERIC") in verdicts
        assert ("TOTAL-FAILED", "FORMAT_FAILURE") in verdicts, "none had enough memory"
        assert len(found) == 2, found

    def test_the_next_file_is_judged_as_if_nothing_had_been(
        self, office: SigningOffice, released: Path, hostile: dict[str, Path]
    ) -> None:
        isolated_report(hostile["many-objects"], timeout_s=0.2)
        report = verify_isolated(released, NOBODY, now=NOW, own_roots=office.roots)
        assert report.indication == "TOTAL-PASSED"

    def test_a_killed_process_costs_nobody_an_answer(
        self, office: SigningOffice, released: Path
    ) -> None:
        verify_isolated(released, NOBODY, now=NOW, own_roots=office.roots)
        for judge in isolated._idle:
            judge._process.kill()
            judge._process.wait()
        report = verify_isolated(released, NOBODY, now=NOW, own_roots=office.roots)
        assert report.indication == "TOTAL-PASSED"

    def test_several_at_once(self, office: SigningOffice, released: Path) -> None:
        with ThreadPoolExecutor(6) as pool:
            reports = list(
                pool.map(
                    lambda _: verify_isolated(released, NOBODY, now=NOW, own_roots=office.roots),
                    range(12),
                )
            )
        assert {one.indication for one in reports} == {"TOTAL-PASSED"}
        assert len(isolated._idle) <= 4

    def test_the_process_is_told_no_secret(
        self, monkeypatch: pytest.MonkeyPatch, released: Path
    ) -> None:
        isolated.close()
        monkeypatch.setenv("DOCFLOW_SECRET", "very")
        monkeypatch.setenv("OTHER_SETTING", "plain")
        isolated_report(released)
        (judge,) = isolated._idle
        told = Path(f"/proc/{judge._process.pid}/environ").read_bytes()
        assert b"OTHER_SETTING=plain" in told
        assert b"DOCFLOW_SECRET" not in told

    def test_no_process_is_left_behind(self, released: Path) -> None:
        isolated_report(released)
        pids = [judge._process.pid for judge in isolated._idle]
        isolated.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    def test_the_child_ends_when_its_parent_is_gone(self) -> None:
        done = subprocess.run(
            isolated._COMMAND, input=b"", capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, b"")


def _object_stream_of(size: int) -> bytes:
    packed = zlib.compress(b"4 0 " + b" " * size)
    body = bytearray(b"%PDF-1.7\n")
    places = []
    bomb = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n" % len(packed)
    for number, content in (
        (1, b"<</Type/Catalog/Pages 4 0 R/AcroForm 4 0 R>>"),
        (2, bomb + packed + b"\nendstream"),
    ):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    rows = [(0, 0, 255), (1, places[0], 0), (1, places[1], 0), (1, len(body), 0), (2, 2, 0)]
    table = b"".join(bytes([a]) + b.to_bytes(4, "big") + bytes([c]) for a, b, c in rows)
    start = len(body)
    body += (
        b"3 0 obj\n<</Type/XRef/Size 5/W[1 4 1]/Root 1 0 R/Length %d>>\nstream\n%b\nendstream\n"
        b"endobj\nstartxref\n%d\n%%%%EOF\n" % (len(table), table, start)
    )
    return bytes(body)


def _signed_elsewhere(
    source: Path, target: Path, forge: Forge, bits: int, digest: str = "sha256"
) -> Path:
    return _sign_with(source, target, forge, forge.issue(Recipe(key=rsa_key(bits))), digest)


def _sign_with(source: Path, target: Path, forge: Forge, made: Made, digest: str) -> Path:
    """Sign as other software does, with pyHanko's own signer."""
    key = made.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register(to_asn1(forge.authority.certificate))
    signer = SimpleSigner(
        signing_cert=to_asn1(made.certificate),
        signing_key=PrivateKeyInfo.load(key),
        cert_registry=store,
    )
    metadata = PdfSignatureMetadata(field_name="Elsewhere", md_algorithm=digest)
    with source.open("rb") as original, target.open("w+b") as output:
        writer = IncrementalPdfFileWriter(original)
        PdfSigner(metadata, signer=signer).sign_pdf(writer, output=output)
    return target
