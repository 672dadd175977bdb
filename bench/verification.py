"""Verifications per second of one core, beside pyHanko's documented loop over the same files."""

import time
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from bench import sample
from bench.client import WrongResultError
from bench.figures import Figure, compared, taking_turns
from docflow.signing.isolated import verify_isolated
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots, to_asn1
from docflow.signing.verifying.dispatch import verify_any

NOBODY = TrustRoots(())


def verification(folder: Path, repeats: int, count: int) -> Iterator[Figure]:
    """Judge B-B and B-LTA files of 100 KB: in this process, and apart as strangers' files are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.pki_support import START, LivePki
        from tests.verification_support import Maker

        pki = LivePki(folder / "pki")
        try:
            maker = Maker(pki)
            files = {level: maker.pdf(level, sample.pdf()) for level in ("B-B", "B-LTA")}
        finally:
            pki.stop()
        roots = pki.roots
    for level, data in files.items():
        path = folder / f"{level}.pdf"
        path.write_bytes(data)

        def here(path: Path = path) -> VerificationReport:
            return verify_any(path, roots, now=START, own_roots=NOBODY)

        def apart(path: Path = path) -> VerificationReport:
            return verify_isolated(path, roots, now=START, own_roots=NOBODY)

        def loop(data: bytes = data) -> None:
            _documented(data, roots)

        # in this process the processor's time is counted: verifications a second of one core
        for what, ours, clock in (
            ("in process", here, time.process_time),
            ("in a process apart", apart, time.perf_counter),
        ):
            pairs = taking_turns(
                repeats,
                lambda _, one=ours, by=clock: _rate(lambda: _passed(one()), count, by),  # type: ignore[misc]
                lambda _, one=loop, by=clock: _rate(one, count, by),  # type: ignore[misc]
            )
            yield compared(
                f"verification, {level}, 100 KB, {what}",
                "",
                pairs,
                "/s",
                note="baseline: pyHanko's documented loop, in process: simple validation, no level, no "
                "strictness, no report",
            )


def _passed(report: VerificationReport) -> None:
    if report.indication != "TOTAL-PASSED":
        raise WrongResultError(f"a good file does not verify: {report}")


def _rate(one: Callable[[], None], count: int, clock: Callable[[], float]) -> float:
    one()
    started = clock()
    for _ in range(count):
        one()
    return count / (clock() - started)


def _documented(data: bytes, roots: TrustRoots) -> None:
    """Validate every signature and timestamp as pyHanko's documentation shows."""
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
    from pyhanko_certvalidator import ValidationContext

    from tests.pki_support import START

    reader = PdfFileReader(BytesIO(data))
    anchors = [to_asn1(one) for one in roots.certificates]
    for embedded in reader.embedded_regular_signatures:
        context = ValidationContext(trust_roots=anchors, moment=START)
        if not validate_pdf_signature(embedded, context).bottom_line:
            raise WrongResultError("the documented loop refuses a good file")
    for embedded in reader.embedded_timestamp_signatures:
        context = ValidationContext(trust_roots=anchors, moment=START)
        if not validate_pdf_timestamp(embedded, context).intact:
            raise WrongResultError("the documented loop refuses a good timestamp")
