"""The gate before release: exactly the signatures that docflow made, and nothing after them.

Rules:
- `SignedFile` is the only thing delivery accepts; of a PDF, only `validate_release` makes it.
- Exactly the signatures expected, in their order, by exactly their certificates: first a person, who
  certifies and admits form filling; then the other persons; last the seal, which covers every byte and
  admits nothing. Each person's version is followed by the updates of the signatures after it, which
  fill the fields that were there, and by nothing else. Each person has a field of their own, which the
  workflow knows; the first one to sign has the first.
- After the seal come archive time stamps, if its level is B-LTA, and nothing else: each an update of
  its own, of known authorities, the last over the whole file.
- A card's signature at B-LT is followed by one update that adds evidence and nothing else.
- Each signature reaches the level expected of it, by the validation of that level, offline.
- Anything else fails, and the error carries every reason.

Judge a release by its seal: a personal signature alone stays good when another one is added.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from docflow.signing.ades import level_faults
from docflow.signing.dated import NewSignatures
from docflow.signing.embedding import ARCHIVE_FIELD
from docflow.signing.gate import Rule, faults, own_rules, refuse_file, require_lasting
from docflow.signing.levels import Level
from docflow.signing.pades import SEAL_FIELD, person_field, person_fields
from docflow.signing.report import PASSED, SignatureReport, VerificationReport
from docflow.signing.room import adds_evidence_only, certified_fields
from docflow.signing.signed import KEY, Expected, SignedFile
from docflow.signing.trust import TrustRoots
from docflow.signing.validate import verify
from docflow.signing.verifying.terms import Policy

__all__ = ["Expected", "SignedFile", "validate_person_signed", "validate_release"]

_PADES = "ETSI.CAdES.detached"
_RFC3161 = "ETSI.RFC3161"
_NONE = TrustRoots(())


def validate_release(
    path: Path,
    roots: TrustRoots,
    *,
    person: x509.Certificate | str,
    seal: x509.Certificate | str,
    now: datetime,
    person_level: Level = "B-B",
    seal_level: Level = "B-B",
    timestamp_roots: TrustRoots = _NONE,
    person_evidence_apart: bool = False,
    others: Sequence[Expected] = (),
    algorithms: NewSignatures | None = None,
) -> SignedFile:
    """Return the proof that the file at `path` may be released.

    Args:
        path: the file, signed and sealed.
        roots: the organisation's own roots.
        person: the certificate expected on the first personal signature, or its SHA-256.
        seal: the certificate expected on the seal, or its SHA-256.
        now: the validation time.
        person_level: what the first personal signature must reach.
        seal_level: what the seal must reach; archive time stamps are there at B-LTA only.
        timestamp_roots: roots of time-stamp authorities, beside our own.
        person_evidence_apart: as `Expected.evidence_apart`, of the first personal signature.
        others: the further personal signatures, in the order in which they were made.
        algorithms: the dated policy, with its margin; by default the shipped one without.

    Raises:
        IntegrityError: code `release-not-valid`, or `algorithm-out-of-policy`; see `extra["reasons"]`.
        FileNotFoundError: if there is no file.
    """
    rules = algorithms or NewSignatures()
    sealed = Expected(seal, seal_level)
    persons = [Expected(person, person_level, person_evidence_apart), *others]
    count = len(persons)
    report = _judged(path, roots, timestamp_roots, now, rules, [*persons, sealed])
    stamps = tuple(one for one in report.signatures if one.kind == "timestamp")
    reasons = faults(_common_rules(report, persons, count, sealed=True, stamps=stamps))
    reasons = reasons or faults(_release_rules(path, report, persons, sealed, stamps))
    reached = _levels(persons) | {SEAL_FIELD: seal_level}
    reasons = reasons or level_faults(path, roots + timestamp_roots, now, reached, rules.policy)
    if reasons or report.sha256 is None or report.size_bytes is None:
        refuse_file("The file may not be released", "release-not-valid", reasons)
    first, *rest = report.signatures[: count + 1]
    return SignedFile(
        path, report.sha256, report.size_bytes, first, rest[-1], now,
        person_level, seal_level, stamps, tuple(rest[:-1]), key=KEY,
    )  # fmt: skip


def validate_person_signed(
    path: Path,
    roots: TrustRoots,
    *,
    person: x509.Certificate | str,
    now: datetime,
    level: Level = "B-B",
    evidence_apart: bool = False,
    timestamp_roots: TrustRoots = _NONE,
    earlier: Sequence[Expected] = (),
    of: int = 1,
    slot: int | None = None,
    algorithms: NewSignatures | None = None,
) -> VerificationReport:
    """Return the report on a file that carries exactly the personal signatures expected, no seal.

    Args:
        path: the file, signed.
        roots: the organisation's own roots.
        person: the certificate expected on the newest signature, or its SHA-256.
        now: the validation time.
        level: what the newest signature must reach.
        evidence_apart: as `Expected.evidence_apart`, of the newest signature.
        timestamp_roots: roots of time-stamp authorities, beside our own.
        earlier: the personal signatures before it, in the order in which they were made.
        of: how many personal signatures there will be; the fields of those to come are empty.
        slot: as `Expected.slot`, of the newest signature.
        algorithms: the dated policy, with its margin; by default the shipped one without.

    Raises:
        IntegrityError: code `signature-not-valid`, or `algorithm-out-of-policy`; see `extra["reasons"]`.
        FileNotFoundError: if there is no file.
    """
    rules = algorithms or NewSignatures()
    persons = [*earlier, Expected(person, level, evidence_apart, slot)]
    report = _judged(path, roots, timestamp_roots, now, rules, persons)
    reasons = faults(_common_rules(report, persons, of))
    reasons = reasons or faults(_half_signed_rules(path, report, persons, of))
    levels = _levels(persons)
    reasons = reasons or level_faults(path, roots + timestamp_roots, now, levels, rules.policy)
    if reasons:
        refuse_file("The personally signed file is not valid", "signature-not-valid", reasons)
    return report


def _half_signed_rules(
    path: Path, report: VerificationReport, persons: Sequence[Expected], of: int
) -> Iterable[Rule]:
    count, newest = len(persons), persons[-1]
    yield from _persons_rules(report, persons, count - 1)
    if count > 1:
        yield _room_rule(path, of)
    yield _newest_rule(report.signatures[count - 1], _what(count), newest.evidence_apart)
    yield from _evidence_rules(path, persons)


def _judged(
    path: Path,
    roots: TrustRoots,
    timestamp_roots: TrustRoots,
    now: datetime,
    rules: NewSignatures,
    ours: Iterable[Expected],
) -> VerificationReport:
    """Return the report by the dated policy, by which the signatures expected have to last."""
    policy = Policy(algorithms=rules.policy)
    report = verify(path, timestamp_roots, now=now, own_roots=roots, policy=policy)
    require_lasting(report.signatures, rules, [one.fingerprint for one in ours], now)
    return report


def _common_rules(
    report: VerificationReport,
    signed: Sequence[Expected],
    persons: int,
    *,
    sealed: bool = False,
    stamps: Sequence[SignatureReport] = (),
) -> Iterable[Rule]:
    found, signatures = len(report.signatures) - len(stamps), len(signed) + sealed
    revisions = 1 + signatures + _apart(signed) + len(stamps)
    archive = [f"{ARCHIVE_FIELD}{number}" for number in range(1, len(stamps) + 1)]
    expected = tuple(sorted([*person_fields(persons), SEAL_FIELD, *archive]))
    yield not report.reasons or found > 0, " ".join(report.reasons)
    yield found == signatures, f"The file has {found} signatures, and {signatures} are expected."
    yield (
        report.field_names == expected,
        f"The signature fields are {', '.join(report.field_names) or 'none'}, and "
        f"{', '.join(expected)} are expected.",
    )
    yield (
        report.revisions == revisions,
        f"The file has {report.revisions} versions, and {revisions} are expected: as stamped, and "
        "one for each signature, evidence of a card's signature and archive time stamp.",
    )
    for one in report.signatures:
        yield (
            one.indication == PASSED,
            f"The signature {one.field} is {one.indication} "
            f"({one.sub_indication}): {' '.join(one.reasons)}",
        )


def _release_rules(
    path: Path,
    report: VerificationReport,
    persons: Sequence[Expected],
    seal: Expected,
    stamps: Sequence[SignatureReport],
) -> Iterable[Rule]:
    count = len(persons)
    sealing = count + 1 + _apart(persons)  # which version of the file the seal makes
    yield from _persons_rules(report, persons, count)
    yield from _seal_rules(report.signatures[count], seal.fingerprint, sealing, stamps)
    yield from _stamp_rules(stamps, seal.level, sealing)
    yield _room_rule(path, count)
    yield from _evidence_rules(path, persons)


def _signature_rules(
    one: SignatureReport, what: str, field: str, fingerprint: str
) -> Iterable[Rule]:
    yield one.field == field, f"The {what} is in the field {one.field}, and belongs in {field}."
    yield one.kind == "signature", f"The {what} is a timestamp."
    yield one.format == _PADES, f"The {what} has the format {one.format}, and {_PADES} is expected."
    yield (
        one.certificate_sha256 == fingerprint,
        f"The {what} is by {one.signer} ({one.certificate_sha256}), and the certificate {fingerprint} "
        "is expected.",
    )
    yield one.indication == PASSED, f"The {what} is {one.indication}."
    yield from own_rules(one, what)
    yield one.padding_is_empty, f"Something hides in the room behind the {what}."


def _room_rule(path: Path, persons: int) -> Rule:
    found = certified_fields(path)
    expected = tuple(sorted([*person_fields(persons), SEAL_FIELD]))
    return (
        found == expected,
        f"The fields were {', '.join(found) or 'none'} when the document was certified, and "
        f"{', '.join(expected)} are expected: no field may come later.",
    )


def _apart(persons: Sequence[Expected]) -> int:
    """Return how many updates with evidence alone follow these signatures."""
    return sum(one.evidence_apart for one in persons)


def _revision(persons: Sequence[Expected], number: int) -> int:
    """Return which update of the file the `number`-th personal signature is."""
    return number + _apart(persons[: number - 1])


def _evidence_rules(path: Path, persons: Sequence[Expected]) -> Iterable[Rule]:
    for number, one in enumerate(persons, 1):
        if one.evidence_apart:
            yield (
                adds_evidence_only(path, _revision(persons, number) + 1),
                f"The update after the {_what(number)} adds more than its evidence.",
            )


def _newest_rule(newest: SignatureReport, what: str, evidence_apart: bool) -> Rule:
    expected = ("entire-file", "none")
    if evidence_apart:
        expected = ("entire-revision", "long-term-validation")
    found = (newest.coverage, newest.changes_after)
    return found == expected, f"The {what} does not cover the file."


def _what(number: int) -> str:
    return "personal signature" if number == 1 else f"personal signature {number}"


def _levels(persons: Sequence[Expected]) -> dict[str, Level]:
    return {_field(one, number): one.level for number, one in enumerate(persons, 1)}


def _field(expected: Expected, number: int) -> str:
    """Return the field that belongs to the `number`-th who signs."""
    return person_field(expected.slot or number)


def _persons_rules(
    report: VerificationReport, persons: Sequence[Expected], followed: int
) -> Iterable[Rule]:
    """Yield what must hold of the personal signatures, of which the first `followed` are followed."""
    signed = [one.field for one in report.signatures if one.kind == "signature"]
    for number, expected in enumerate(persons, 1):
        one, what = report.signatures[number - 1], _what(number)
        yield from _signature_rules(one, what, _field(expected, number), expected.fingerprint)
        yield from _person_rules(one, what, number, _revision(persons, number))
        if number <= followed:
            yield from _followed_rules(one, what, signed[number:])


def _person_rules(one: SignatureReport, what: str, number: int, revision: int) -> Iterable[Rule]:
    yield one.revision == revision, f"The {what} is not change {revision} of the file."
    if number > 1:
        yield not one.certifies, f"The {what} must not be the certification."
        yield (
            one.permits is None,
            f"The {what} permits {one.permits}; that is the first one's to say.",
        )
        return
    yield one.certifies, f"The {what} does not certify the document."
    yield one.permits == "form-filling", f"The {what} permits {one.permits}."


def _followed_rules(one: SignatureReport, what: str, after: Sequence[str]) -> Iterable[Rule]:
    yield (
        one.coverage == "entire-revision",
        f"The {what} covers {one.coverage}, and not its whole version.",
    )
    yield (
        one.changes_after == "form-filling" and one.changed_fields == tuple(sorted(after)),
        f"After the {what} came {one.changes_after} "
        f"({', '.join(one.changed_fields) or 'no field'}), and only {', '.join(after)} may.",
    )


def _seal_rules(
    last: SignatureReport, fingerprint: str, revision: int, stamps: Sequence[SignatureReport]
) -> Iterable[Rule]:
    yield from _signature_rules(last, "seal", SEAL_FIELD, fingerprint)
    yield last.revision == revision, "The seal is not the last change of the file."
    whole = "entire-revision" if stamps else "entire-file"
    yield last.coverage == whole, f"The seal covers {last.coverage}, and not the whole file."
    changes = "long-term-validation" if stamps else "none"
    yield last.changes_after == changes, f"After the seal came {last.changes_after}."
    yield (
        last.permits == "no-changes",
        f"The seal permits {last.permits}; it must permit no change.",
    )
    yield last.locks_all_fields, "The seal does not lock every field."
    yield not last.certifies, "The seal must not be the certification."


def _stamp_rules(stamps: Sequence[SignatureReport], level: Level, sealing: int) -> Iterable[Rule]:
    yield (
        bool(stamps) == (level == "B-LTA"),
        f"The file has {len(stamps)} archive time stamps, and its seal's level is {level}.",
    )
    for number, one in enumerate(stamps, 1):
        what = f"archive time stamp {number}"
        newest = number == len(stamps)
        yield (
            one.field == f"{ARCHIVE_FIELD}{number}" and one.revision == sealing + number,
            f"The {what} is not where it belongs.",
        )
        yield one.format == _RFC3161, f"The {what} has the format {one.format}."
        yield (
            one.intact and one.valid and one.trusted,
            f"The {what} is not by a known authority, or not over this file.",
        )
        yield one.padding_is_empty, f"Something hides in the room behind the {what}."
        yield (
            one.coverage == ("entire-file" if newest else "entire-revision"),
            f"The {what} covers {one.coverage}, and not the whole file.",
        )
