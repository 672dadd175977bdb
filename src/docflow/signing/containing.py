"""Strict validation of what is no PDF: signature files beside annexes, and the container of a release.

Rules:
- A signature file carries exactly the signers expected, each over the very bytes of its annex.
- A container holds exactly the files expected, by name and digest, with one signature, the seal's, over
  all of them, and at B-LTA one archive time stamp over everything. Its PDFs were validated before, each
  as a release of its own; its annexes carry every person's signature.
- From B-LT on, evidence is demanded on every certificate, in the file itself, at the instant that the
  newest time stamp proves: what was told when a person signed may be old at the release.
- Anything else fails, and the error carries every reason.

Source: ETSI EN 319 122-1 (CAdES), EN 319 162-1 (ASiC), RFC 5652.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from docflow.signing.dated import NewSignatures
from docflow.signing.gate import Rule, faults, own_rules, refuse_file, require_lasting
from docflow.signing.levels import Level, reaches
from docflow.signing.manifest import ARCHIVE, MANIFEST, MIMETYPE, SIGNATURE, token
from docflow.signing.report import PASSED, SignatureReport, VerificationReport
from docflow.signing.signed import KEY, Expected, SignedFile
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import cms
from docflow.signing.verifying.asic import verify_asic
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.manifests import read_manifest
from docflow.signing.verifying.safexml import MAX_XML_BYTES
from docflow.signing.verifying.terms import Policy, Terms

_NONE = TrustRoots(())


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A PDF of a container: its name there, and the proof that it may be released."""

    name: str
    proof: SignedFile


@dataclass(frozen=True, slots=True)
class SignedAnnex:
    """An annex of a container as it came, and the name of the signature file of those who signed it."""

    name: str
    sha256: str
    signature: str
    persons: tuple[Expected, ...]


def validate_detached(
    signature: Path,
    data: Path,
    roots: TrustRoots,
    *,
    persons: Sequence[Expected],
    now: datetime,
    timestamp_roots: TrustRoots = _NONE,
    algorithms: NewSignatures | None = None,
) -> tuple[SignatureReport, ...]:
    """Return the reports on a signature file that carries exactly the signatures expected over `data`.

    Args:
        signature: the signature file (.p7s).
        data: what it signs.
        roots: the organisation's own roots.
        persons: whose signatures it must carry, and at which level.
        now: the validation time.
        timestamp_roots: roots of time-stamp authorities, beside our own.
        algorithms: the dated policy, with its margin; by default the shipped one without.

    Raises:
        IntegrityError: code `signature-not-valid`, or `algorithm-out-of-policy`; see `extra["reasons"]`.
    """
    rules = algorithms or NewSignatures()
    terms = _terms(roots, timestamp_roots, now, rules)
    with data.open("rb") as file:
        reports, reasons = _signers(
            signature.read_bytes(), cms.digest_of_file(file), terms, persons, "signature file"
        )
    require_lasting(reports, rules, [one.fingerprint for one in persons], now)
    if reasons:
        refuse_file("The annex is not validly signed", "signature-not-valid", reasons)
    return reports


def validate_container(
    path: Path,
    roots: TrustRoots,
    *,
    parts: Sequence[SealedPart],
    annexes: Sequence[SignedAnnex],
    seal: str,
    level: Level,
    now: datetime,
    timestamp_roots: TrustRoots = _NONE,
    algorithms: NewSignatures | None = None,
) -> SignedFile:
    """Return the proof that the container at `path` may be released.

    Args:
        path: the container.
        roots: the organisation's own roots.
        parts: the PDFs in it, the main file first.
        annexes: the other files in it, each with its signature file.
        seal: SHA-256 of the certificate that is expected to have sealed it.
        level: what that seal must reach.
        now: the validation time.
        timestamp_roots: roots of time-stamp authorities, beside our own.
        algorithms: the dated policy, with its margin; by default the shipped one without.

    Raises:
        IntegrityError: code `release-not-valid`, or `algorithm-out-of-policy`; see `extra["reasons"]`.
        ValueError: if there is no part: what is released has a main file.
    """
    if not parts:
        raise ValueError("a container needs a main file")
    rules, names = algorithms or NewSignatures(), _names(parts, annexes)
    terms = _terms(roots, timestamp_roots, now, rules)
    with path.open("rb") as file:
        report = verify_asic(file, terms)
        require_lasting(report.signatures, rules, [seal], now)
        whole = partial(_whole_rules, names=names, seal=seal, level=level)
        reasons = (
            faults(whole(report))
            or _strict_faults(file, terms, report, level, whole)
            or _members(Container(file), names, parts, annexes, terms, level)
        )
        sha256, size = _digest_of(file)
    if reasons:
        refuse_file("The container may not be released", "release-not-valid", reasons)
    main, (sealed, stamps) = parts[0].proof, _told_apart(report)
    return SignedFile(
        path, sha256, size, main.person, sealed[0], now,
        main.person_level, level, tuple(stamps), main.others, key=KEY,
    )  # fmt: skip


def _digest_of(file: BinaryIO) -> tuple[str, int]:
    """Return SHA-256 and size of an open file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return digest, file.tell()


def _names(parts: Sequence[SealedPart], annexes: Sequence[SignedAnnex]) -> list[str]:
    beside = [name for annex in annexes for name in (annex.name, annex.signature)]
    return [one.name for one in parts] + beside


def _terms(
    roots: TrustRoots, timestamp_roots: TrustRoots, now: datetime, rules: NewSignatures
) -> Terms:
    return Terms(timestamp_roots + roots, roots, now, Policy(algorithms=rules.policy))


def _demanding(terms: Terms, reports: Iterable[SignatureReport]) -> Terms:
    """Return the terms by which revocation has to be known when the newest time stamp was made."""
    at = max((one.proven_at for one in reports if one.proven_at), default=terms.now)
    return replace(terms, now=at, policy=replace(terms.policy, revocation="required"))


def _strict_faults(
    file: BinaryIO,
    terms: Terms,
    report: VerificationReport,
    level: Level,
    rules: Callable[[VerificationReport], Iterable[Rule]],
) -> list[str]:
    """Judge a container once more, demanding evidence, if its level wants that; say what is wrong."""
    if not reaches(level, "B-LT"):
        return []
    return faults(rules(verify_asic(file, _demanding(terms, report.signatures))))


def _told_apart(report: VerificationReport) -> tuple[list[SignatureReport], list[SignatureReport]]:
    """Return the reports on signatures, and those on time stamps."""
    sealed = [one for one in report.signatures if one.kind == "signature"]
    return sealed, [one for one in report.signatures if one.kind == "timestamp"]


def own_names(level: Level) -> set[str]:
    """Return the names of what a container that was just made holds beside its files."""
    names = {MIMETYPE, MANIFEST, SIGNATURE}
    return names | {ARCHIVE, token(1)} if level == "B-LTA" else names


def _whole_rules(
    report: VerificationReport, names: Sequence[str], seal: str, level: Level
) -> Iterable[Rule]:
    yield report.form == "asic-e", f"It is {report.form}, and asic-e is expected."
    yield not report.reasons, " ".join(report.reasons)
    sealed, stamps = _told_apart(report)
    yield len(sealed) == 1, f"It has {len(sealed)} signatures, and the seal alone is expected."
    expected = [token(1)] if level == "B-LTA" else []
    yield (
        [one.field for one in stamps] == expected,
        f"It has {len(stamps)} archive time stamps, and {len(expected)} are expected.",
    )
    yield (
        sorted(report.files) == sorted(names),
        f"It holds {', '.join(sorted(report.files))}, and {', '.join(sorted(names))} are expected.",
    )
    for one in stamps:
        yield from stamp_rules(one, {*names, MANIFEST, SIGNATURE})
    for one in sealed:
        yield from _signature_rules(one, "seal", level)
        yield (
            one.certificate_sha256 == seal,
            f"The seal is by {one.signer} ({one.certificate_sha256}), and the certificate {seal} is "
            "expected.",
        )
        yield sorted(one.covers) == sorted(names), "The seal does not cover every file."


def stamp_rules(one: SignatureReport, names: set[str]) -> Iterable[Rule]:
    """Yield what holds of an archive time stamp over the files with these names."""
    yield (
        one.indication == PASSED,
        f"The archive time stamp is {one.indication} ({one.sub_indication}): "
        f"{' '.join(one.reasons)}",
    )
    yield set(one.covers) == names, "The archive time stamp does not cover every file."


def _signature_rules(one: SignatureReport, what: str, level: Level) -> Iterable[Rule]:
    yield (
        one.indication == PASSED,
        f"The {what} is {one.indication} ({one.sub_indication}): {' '.join(one.reasons)}",
    )
    yield one.kind == "signature", f"The {what} is a timestamp."
    yield one.format == "CAdES", f"The {what} has the format {one.format}, and CAdES is expected."
    yield from own_rules(one, what)
    yield (
        one.level != "none" and reaches(one.level, level),
        f"The {what} reaches {one.level}, and {level} is expected.",
    )


def _members(
    container: Container,
    names: Sequence[str],
    parts: Sequence[SealedPart],
    annexes: Sequence[SignedAnnex],
    terms: Terms,
    level: Level,
) -> list[str]:
    """Say of every file of the container that is not the expected one why it is not.

    That each file is the one that the sealed manifest names was judged with the seal.
    """
    extra = sorted(set(container.names) - {*names, *own_names(level)})
    if extra:
        return [f"It holds {name!r}, which does not belong there." for name in extra]
    manifest = read_manifest(MANIFEST, container.read(MANIFEST, MAX_XML_BYTES))
    told = {one.name: one.digest.hex() for one in manifest.objects if one.algorithm == "sha256"}
    expected = {part.name: part.proof.sha256 for part in parts}
    expected |= {annex.name: annex.sha256 for annex in annexes}
    wrong = [
        f"The file {name!r} in it is not the one that was signed."
        for name, sha256 in expected.items()
        if told.get(name) != sha256
    ]
    for annex in annexes:
        _, reasons = _signers(
            container.read(annex.signature, cms.MAX_CMS_BYTES),
            partial(container.digest, annex.name),
            terms,
            annex.persons,
            f"signature file {annex.signature!r}",
        )
        wrong += reasons
    return wrong


def _signers(
    content: bytes, digest: cms.Digest, terms: Terms, persons: Sequence[Expected], what: str
) -> tuple[tuple[SignatureReport, ...], list[str]]:
    """Judge a signature file over what `digest` hashes; return the reports and what is wrong."""
    try:
        signed = cms.load(content)
        if cms.has_content(signed):
            raise ValueError("it holds data of its own")
        reports = tuple(cms.judge(signed, digest, terms))
    except (ValueError, KeyError, TypeError) as error:
        return (), [f"The {what} cannot be read: {error}."]
    found = Counter(one.certificate_sha256 for one in reports)
    if found != Counter(one.fingerprint for one in persons):
        signers = ", ".join(str(one.signer) for one in reports) or "nobody"
        return reports, [f"The {what} is by {signers}, and not by exactly those expected."]
    levels = {one.fingerprint: one.level for one in persons}
    rules: list[Rule] = []
    for position, one in enumerate(reports):
        level, who = levels[str(one.certificate_sha256)], f"signature of {one.signer}"
        rules += _signature_rules(one, who, level)
        if reaches(level, "B-LT"):
            strictly = tuple(cms.judge(signed, digest, _demanding(terms, [one])))
            rules += _signature_rules(strictly[position], who, level)
    return reports, faults(rules)
