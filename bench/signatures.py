"""Signatures per second of processor time: each level, beside pyHanko's documented loop and the bare key.

RSA with 3,072 bits on both sides. The authorities and responders run in this process too; what counts is
the processor time of the thread that signs, so their work is not in the figures.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner

from bench import sample
from bench.client import WrongResultError
from bench.figures import Figure, bounded, compared, taking_turns
from docflow.signing.ades import levels_reached
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.longterm import LongTerm
from docflow.signing.pades import seal, sign_person
from tests.levels_support import longterm
from tests.pki_support import LivePki

_SIZES = ((100_000, "100 KB"), (1_000_000, "1 MB"), (10_000_000, "10 MB"))
_LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT", "B-LTA")
_MEMORY_MIB = 200
_REACH_BB = 12
_MAKE = (
    "import sys, pathlib; from bench import sample; "
    "pathlib.Path(sys.argv[1]).write_bytes(sample.pdf(int(sys.argv[2])))"
)


class _Bench:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.folder = folder
        self.pki = LivePki(folder / "pki", keys={"person": pem, "seal": pem})
        self.now = datetime.now(UTC)
        self.pki.now = lambda: self.now
        self.person: SignerIdentity = self.pki.identity("person", "person")
        self.seal: SignerIdentity = self.pki.identity("seal", "organisation")
        self.longterm: LongTerm = longterm(self.pki)
        (folder / "key.pem").write_bytes(pem)
        self.key = load_pem_private_key(pem, None)

    def prepare(self, size: int) -> tuple[Path, Path]:
        """Return an unsigned file, and the same signed by a person, ready for the seal."""
        plain, signed = self.folder / f"{size}.pdf", self.folder / f"{size}-person.pdf"
        plain.write_bytes(sample.pdf(size))
        sign_person(plain, signed, self.person, now=self.now)
        return plain, signed

    def ours(self, source: Path, level: Level) -> None:
        target = self.folder / "out.pdf"
        seal(source, target, self.seal, now=self.now, level=level, longterm=self.longterm)

    def documented(self, source: Path) -> None:
        """Sign as pyHanko's documentation does."""
        signer = SimpleSigner.load(
            str(self.folder / "key.pem"),
            str(self.pki.pem("seal")),
            ca_chain_files=(str(self.pki.pem("authority")),),
        )
        metadata = PdfSignatureMetadata(
            field_name="Signature1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
        )
        with source.open("rb") as original, (self.folder / "theirs.pdf").open("w+b") as output:
            PdfSigner(metadata, signer=signer).sign_pdf(
                IncrementalPdfFileWriter(original), output=output
            )

    def bare(self) -> None:
        assert isinstance(self.key, rsa.RSAPrivateKey)
        self.key.sign(b"x" * 32, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

    def check(self, level: Level) -> None:
        found = levels_reached(self.folder / "out.pdf", self.pki.roots, now=self.now)
        if found[-1].level != level:
            raise WrongResultError(f"the seal reaches {found[-1].level}, and not {level}")


def _rate(work: Callable[[], None], count: int) -> float:
    began = time.thread_time()
    for _ in range(count):
        work()
    return count / (time.thread_time() - began)


def signatures(folder: Path, repeats: int, count: int) -> Iterator[Figure]:
    """Seal files of three sizes at every level, and hold memory to its limit."""
    bench = _Bench(folder / "signatures")
    for size, shown in _SIZES:
        plain, signed = bench.prepare(size)
        for level in _LEVELS:
            bench.ours(signed, level)  # warm: evidence gathered, sample token known
            bench.check(level)
            pairs = taking_turns(
                repeats,
                lambda _, level=level, signed=signed: _rate(  # type: ignore[misc]
                    lambda: bench.ours(signed, level), count
                ),
                lambda _, plain=plain: _rate(lambda: bench.documented(plain), 2),  # type: ignore[misc]
            )
            yield compared(
                f"seal {shown} at {level} beside pyHanko's documented loop at B-B",
                "",
                pairs,
                "/s",
                at_least=_REACH_BB if (size, level) == (_SIZES[0][0], "B-B") else None,
                note=f"{1000 / (sum(one for one, _ in pairs) / len(pairs)):.0f} ms each",
            )
    plain, signed = bench.prepare(_SIZES[0][0])
    yield compared(
        "seal 100 KB at B-B beside the bare key operation",
        "",
        taking_turns(
            repeats,
            lambda _: _rate(lambda: bench.ours(signed, "B-B"), count),
            lambda _: _rate(bench.bare, 50),
        ),
        "/s",
    )
    bench.pki.stop()
    yield _memory(folder)


def _memory(folder: Path) -> Figure:
    command = [sys.executable, "-m", "bench.signatures", str(folder / "memory")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return bounded(
        f"memory that signing and sealing {_MEMORY_MIB} MB at B-LTA adds",
        "",
        float(done.stdout),
        "MiB",
        64,
        "peak resident set of a process of its own, less what a small file took",
    )


def _grown(folder: Path) -> float:
    """Return how many MiB the peak grows from sealing a small file to a large one."""
    bench = _Bench(folder)
    _, small = bench.prepare(100_000)
    bench.ours(small, "B-LTA")
    large, signed = folder / "large.pdf", folder / "large-person.pdf"
    # another process makes it, so that this one's peak is that of signing
    subprocess.run([sys.executable, "-c", _MAKE, large, str(_MEMORY_MIB * 2**20)], check=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sign_person(large, signed, bench.person, now=bench.now)
    bench.ours(signed, "B-LTA")
    bench.pki.stop()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


if __name__ == "__main__":
    print(_grown(Path(sys.argv[1])))
