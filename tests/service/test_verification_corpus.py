"""Every signed or hostile file that can be had: judged apart, in bounded time, and none valid by mistake.

The corpus is what docflow makes itself (`docflow.cli.hostile`), files that are hostile by their form, and
every PDF, CMS and ASiC file that the installed packages and this system bring along.
"""

import json
import os
import sysconfig
import time
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from docflow.cli.hostile import make_hostile
from docflow.signing.isolated import verify_isolated
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from tests.pki_support import START, LivePki
from tests.verification_support import Maker, container, manifest

NOBODY = TrustRoots(())
SECONDS = 8.0
SUFFIXES = (".pdf", ".p7s", ".p7m", ".p7b", ".asice", ".asics", ".sce", ".bdoc")
PLACES = (sysconfig.get_paths()["purelib"], "/usr/share/doc", "/usr/share/cups")
_OID = bytes.fromhex("06092a864886f70d010702")


def installed() -> list[Path]:
    """Return the signed kinds of files that packages and system bring along."""
    found = []
    for place in PLACES:
        for folder, _, names in os.walk(place):
            found += [Path(folder) / one for one in names if one.lower().endswith(SUFFIXES)]
    return sorted(one for one in found if one.stat().st_size < 50 << 20)


def deflated_pdf(size: int) -> bytes:
    """Return a PDF whose cross-reference stream unpacks to `size` bytes."""
    packed = zlib.compress(bytes(size), 9)
    body = b"%PDF-1.5\n1 0 obj\n<</Type/XRef/Size 9/W[1 2 1]/Root 2 0 R/Filter/FlateDecode"
    body += b"/Length %d>>\nstream\n" % len(packed) + packed + b"\nendstream\nendobj\n"
    return body + b"startxref\n9\n%%EOF\n"


def nested_zip(depth: int) -> bytes:
    data = b"x"
    for _ in range(depth):
        out = BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("inner.zip", data)
        data = out.getvalue()
    return data


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "a zero": lambda: b"0",
    "endless der": lambda: b"\x30\x84\x7f\xff\xff\xff" + _OID,
    "deep der": lambda: b"\x30\x80" + _OID + b"\xa0\x80" + b"\x30\x80" * 400_000,
    "many der": lambda: (
        b"\x30\x84\x00\x40\x00\x0b" + _OID + b"\xa0\x84\x00\x40\x00\x00" + b"\x30\x00" * (1 << 21)
    ),
    "pem": lambda: b"-----BEGIN CMS-----\n" + b"MIIB" * 1_000_000,
    "pdf bomb": lambda: deflated_pdf(900 << 20),
    "pdf of loops": lambda: b"%PDF-1.4\n" + b"1 0 obj [1 0 R] endobj\n" * 50_000,
    "startxref to itself": lambda: b"%PDF-1.4\nxref\n0 1\ntrailer<</Prev 9>>\nstartxref\n9\n%%EOF",
    "deep pdf": lambda: b"%PDF-1.4\n1 0 obj\n" + b"[" * 500_000,
    "deep xml": lambda: container({"META-INF/ASiCManifest1.xml": b"<a>" * 300_000, "a.txt": b"x"}),
    "nested zip": lambda: nested_zip(40),
    "zip of zeros": lambda: container({f"{n}": bytes(40 << 20) for n in range(14)}),
    "many small files": lambda: container({f"{n}.txt": b"" for n in range(1_001)}),
    "zip without end": lambda: container({"a": b"x"})[:-20],
    "only an end": lambda: b"PK\x05\x06" + bytes(18),
}


def judged(path: Path, roots: TrustRoots = NOBODY) -> VerificationReport:
    before = time.monotonic()
    report = verify_isolated(path, roots, now=START, own_roots=NOBODY, timeout_s=SECONDS)
    assert time.monotonic() - before < SECONDS + 30  # the process may have to start
    assert VerificationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    return report


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_hostile_by_form_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[name]())
    report = judged(path)
    assert report.indication == "TOTAL-FAILED"
    assert report.reasons


def test_what_docflow_makes_for_tests_is_never_valid(tmp_path: Path) -> None:
    made = make_hostile(tmp_path)
    assert len(made) > 5
    for name, path in made.items():
        report = judged(path)
        assert report.indication != "TOTAL-PASSED", name
        assert report.reasons or report.signatures, name


def test_what_packages_bring_along_is_never_valid_and_never_breaks(pki: LivePki) -> None:
    for path in installed():
        report = judged(path, pki.roots)
        assert report.indication != "TOTAL-PASSED", path


def test_a_manifest_over_a_thousand_files_is_judged(tmp_path: Path, pki: LivePki) -> None:
    files = {f"{n}.txt": b"x" * n for n in range(900)}
    maker = Maker(pki)
    signed = manifest("META-INF/signature001.p7s", files)
    path = tmp_path / "many.asice"
    path.write_bytes(
        container(
            {
                **files,
                "META-INF/ASiCManifest001.xml": signed,
                "META-INF/signature001.p7s": maker.cades(signed),
            }
        )
    )
    assert judged(path, pki.roots).indication == "TOTAL-PASSED"
