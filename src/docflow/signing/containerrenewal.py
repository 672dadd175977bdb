"""Strict validation of a container that got its next archive time stamp.

Rules:
- Every file of before is there, byte for byte; the archive manifest of before under its new name. The token
  of before may have got evidence, and nothing else of it may differ.
- The new time stamp is good and covers all of that; every signature still reaches B-LTA, by the evidence
  in the file alone.

Source: ETSI EN 319 162-1, A.7; EN 319 102-1, 5.6.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from docflow.kernel.errors import IntegrityError
from docflow.signing.containerstamp import stamps_in
from docflow.signing.containing import stamp_rules
from docflow.signing.gate import Rule, faults
from docflow.signing.manifest import ARCHIVE, MIMETYPE, earlier, token
from docflow.signing.report import PASSED, VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.asic import verify_asic
from docflow.signing.verifying.cms import MAX_CMS_BYTES
from docflow.signing.verifying.cms import load as load_cms
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.terms import Policy, Terms


def validate_renewed_container(
    path: Path,
    before: Path,
    roots: TrustRoots,
    timestamp_roots: TrustRoots,
    *,
    now: datetime,
    number: int,
    algorithms: AlgorithmPolicy | None = None,
) -> None:
    """Refuse a renewed container that is anything but the one before it with one good time stamp more.

    Args:
        path: the renewed container.
        before: the one before.
        roots: the organisation's own roots.
        timestamp_roots: roots of time-stamp authorities.
        now: the validation time.
        number: of the archive time stamp that was added, from 1.
        algorithms: the dated policy; by default the shipped one.

    Raises:
        IntegrityError: code `renewal-not-valid`, with every reason in `extra["reasons"]`.
    """
    policy = Policy(revocation="required", algorithms=algorithms or shipped_policy())
    with path.open("rb") as file, before.open("rb") as old:
        report = verify_asic(file, Terms(timestamp_roots + roots, roots, now, policy))
        try:
            renewed = Container(file)
            rules = (*_kept(renewed, Container(old), number), *_judged(report, renewed, number))
            reasons = faults(rules)
        except (ValueError, KeyError, TypeError) as error:
            reasons = [f"It cannot be compared with the one before: {error}."]
    if reasons:
        raise IntegrityError(
            f"The renewed file is not kept: {' '.join(reasons)}",
            code="renewal-not-valid",
            reasons=reasons,
        )


def _kept(new: Container, old: Container, number: int) -> Iterable[Rule]:
    """Yield what holds of the files of a container and of the one before."""
    newest = token(number - 1)
    yield stamps_in(old.names) == number - 1, "The one before has another number of time stamps."
    names = {one: earlier(number - 1) if one == ARCHIVE else one for one in old.names}
    expected = {*names.values(), ARCHIVE, token(number)}
    yield (
        set(new.names) == expected,
        "It does not hold the files of before and one time stamp more.",
    )
    for one in {*old.names} - {newest}:
        same = names[one] in new.names and _sha512(new, names[one]) == _sha512(old, one)
        yield same, f"The file {one!r} of it was changed."
    yield _signed_in(new, newest) == _signed_in(old, newest), "The time stamp before was changed."


def _sha512(container: Container, name: str) -> bytes:
    return container.digest(name, "sha512")


def _signed_in(container: Container, name: str) -> tuple[bytes, bytes]:
    """Return what a token says, and who signed that; its evidence is neither."""
    signed = load_cms(container.read(name, MAX_CMS_BYTES))
    return signed["encap_content_info"].dump(), signed["signer_infos"].dump()


def _judged(report: VerificationReport, container: Container, number: int) -> Iterable[Rule]:
    yield not report.reasons, " ".join(report.reasons)
    newest = [one for one in report.signatures if one.field == token(number)]
    yield len(newest) == 1, "It has no new archive time stamp."
    covered = {*container.names} - {MIMETYPE, ARCHIVE, token(number)}
    for one in report.signatures:
        yield (
            one.indication == PASSED,
            f"{one.field} is {one.indication} ({one.sub_indication}): {' '.join(one.reasons)}",
        )
        yield (
            one.kind == "timestamp" or one.level == "B-LTA",
            f"The signature {one.field} reaches {one.level}, and not B-LTA.",
        )
    for one in newest:
        yield from stamp_rules(one, covered)
