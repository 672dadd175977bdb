"""Judge any signed file, told apart by its content: a PDF, a container, or CMS.

A hostile file can still take time and memory: callers that serve strangers use `isolated`.
"""

import dataclasses
import hashlib
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from docflow.signing.report import INDETERMINATE, VerificationReport, failure
from docflow.signing.sniff import (
    SNIFF_BYTES,
    described,
    is_cms,
    is_encrypted_cms,
    is_mail,
    may_be_pdf,
    sniff,
)
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify_pdf
from docflow.signing.verifying.asic import verify_asic
from docflow.signing.verifying.cms import verify_cms
from docflow.signing.verifying.questions import Fetched, Wanted
from docflow.signing.verifying.terms import Policy, Terms

_ACCEPTED = (
    "Accepted are PDF, CMS and CAdES (DER or PEM), and ASiC containers; XAdES only inside one."
)


def verify_any(
    path: Path,
    roots: TrustRoots,
    *,
    now: datetime,
    own_roots: TrustRoots,
    data: Path | None = None,
    policy: Policy | None = None,
    fetched: Fetched | None = None,
    wanted: Wanted | None = None,
) -> VerificationReport:
    """Judge every signature in the file at `path` at the instant `now`.

    Args:
        path: a PDF, an ASiC container, or CMS in DER or PEM; it is opened for reading, no more.
        roots: further roots to trust (national authorities, partners).
        now: the validation time.
        own_roots: this organisation's roots; trusted, and what leads to them is `ours`.
        data: the file that a detached signature signs.
        policy: how strictly.
        fetched: what was answered about revocation.
        wanted: collects what could be asked about it.

    Raises:
        FileNotFoundError: if there is nothing at a path.
    """
    terms = Terms(
        roots + own_roots, own_roots, now, policy or Policy(), fetched or Fetched(), wanted
    )
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        signed = opened.enter_context(data.open("rb")) if data is not None else None
        report = _judged(file, signed, terms)
        file.seek(0)
        return dataclasses.replace(
            report,
            sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            size_bytes=file.seek(0, 2),
        )


def _judged(file: BinaryIO, data: BinaryIO | None, terms: Terms) -> VerificationReport:
    head = file.read(SNIFF_BYTES)
    file.seek(0)
    if is_cms(head) or (data is not None and head[:1] == b"\x30"):
        return verify_cms(file, data, terms)
    if is_encrypted_cms(head):
        return failure(
            "The file is an encrypted message (CMS); a signature may be inside. Its recipient opens it "
            "first (`docflow open`) and verifies what comes out.",
            now=terms.now,
            indication=INDETERMINATE,
            sub_indication="SIGNED_DATA_NOT_FOUND",
        )
    if data is not None:
        return failure(
            "Only a detached signature (CMS in DER or PEM) takes the signed file along with it; this "
            "is none.",
            now=terms.now,
        )
    media_type = sniff(head)
    if media_type.startswith(("application/vnd.etsi.asic", "application/zip")):
        return verify_asic(file, terms)
    if may_be_pdf(head) and not is_mail(head):  # one may hold a PDF
        return verify_pdf(file, terms)
    return failure(f"The file is {described(head)}. {_ACCEPTED}", now=terms.now)
