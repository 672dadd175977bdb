"""Signed files with bits flipped, pieces swapped and revisions spliced: never an exception, never valid.

What may change without harm is known: the letters of the signature's own hexadecimal digits, and what
pyHanko and every reader pass over. So a mutant that passes must say the same as the original: same
signer, same signed bytes.
"""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from tests.pki_support import START, LivePki
from tests.verification_support import Maker

NOBODY = TrustRoots(())
KINDS = ("pdf", "archived", "cades", "asic")
_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Bench:
    """The originals, and what was found about them."""

    def __init__(self, folder: Path, pki: LivePki) -> None:
        maker = Maker(pki)
        self.path = folder / "mutant"
        self.roots = pki.roots
        self.files = {
            "pdf": maker.pdf("B-T"),
            "archived": maker.pdf("B-LTA"),
            "cades": maker.cades(b"signed data" * 20, detached=False, tsa="tsa"),
            "asic": maker.asic({"a.txt": b"one" * 50, "b.txt": b"two" * 50}, tsa="tsa"),
        }
        self.good = {kind: self.judge(data) for kind, data in self.files.items()}

    def judge(self, data: bytes) -> VerificationReport:
        self.path.write_bytes(data)
        return verify_any(self.path, self.roots, now=START, own_roots=NOBODY)

    def check(self, kind: str, mutant: bytes) -> None:
        """Judge a mutant; if it passes, it must be the original in all that was signed."""
        report = self.judge(mutant)
        if report.indication != "TOTAL-PASSED":
            assert report.reasons or any(one.reasons for one in report.signatures)
            return
        good = self.good[kind]
        assert [_identity(one) for one in report.signatures] == [
            _identity(one) for one in good.signatures
        ]
        assert signed_content(kind, mutant, report) == signed_content(kind, self.files[kind], good)


def _identity(one: object) -> tuple[object, ...]:
    names = ("certificate_sha256", "attributes_sha256", "covers", "covered_bytes", "field")
    return tuple(getattr(one, name) for name in names)


def signed_content(kind: str, data: bytes, report: VerificationReport) -> object:
    """Return what the signatures cover, without their own digits."""
    if kind == "asic":
        with zipfile.ZipFile(BytesIO(data)) as packed:
            return {n: packed.read(n) for n in packed.namelist() if not n.startswith("META-INF")}
    if kind == "cades":
        return report.signatures[0].attributes_sha256
    (first, *_) = report.signatures
    start = data.index(b"/Contents <")
    end = data.index(b">", start)
    return data[:start] + data[end : first.covered_bytes]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, pki_server: LivePki) -> Bench:
    pki_server.reset()
    return Bench(tmp_path_factory.mktemp("fuzz"), pki_server)


@pytest.mark.parametrize("kind", KINDS)
@_SETTINGS
@given(data=st.data())
def test_flipped_bits(bench: Bench, kind: str, data: st.DataObject) -> None:
    mutant = bytearray(bench.files[kind])
    places = st.integers(0, len(mutant) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        mutant[place] ^= 1 << data.draw(st.integers(0, 7))
    bench.check(kind, bytes(mutant))


@pytest.mark.parametrize("kind", KINDS)
@_SETTINGS
@given(data=st.data())
def test_pieces_cut_doubled_and_moved(bench: Bench, kind: str, data: st.DataObject) -> None:
    original = bench.files[kind]
    places = st.integers(0, len(original))
    start, end, to = data.draw(places), data.draw(places), data.draw(places)
    start, end = min(start, end), max(start, end)
    piece = original[start:end]
    how = data.draw(st.sampled_from(["cut", "double", "move", "zero"]))
    rest = original[:start] + original[end:]
    mutant = {
        "cut": rest,
        "double": original[:to] + piece + original[to:],
        "move": rest[:to] + piece + rest[to:],
        "zero": original[:start] + bytes(len(piece)) + original[end:],
    }[how]
    bench.check(kind, mutant)


@_SETTINGS
@given(data=st.data())
def test_revisions_spliced_from_another_file(bench: Bench, data: st.DataObject) -> None:
    one, other = bench.files["pdf"], bench.files["archived"]
    ends = [place + 6 for place in range(len(other)) if other.startswith(b"%%EOF\n", place)]
    cut = data.draw(st.sampled_from([0, *ends]))
    mutant = one + other[cut:]
    if cut != len(other):
        assert bench.judge(mutant).indication != "TOTAL-PASSED"
