"""Associated signature containers: ASiC-E with CAdES (manifests), and ASiC-S.

Rules:
- A signature is worth what its manifest is worth: every file that it names is there, with that digest.
- A file that no signature covers fails the container: whoever adds one changes what was handed over. That
  holds for META-INF too, but for signatures, manifests and the few files whose names are fixed there.
- A signature in XML (XAdES) names the files itself; one that cannot be read is told, never hidden.

Source: ETSI EN 319 162-1 (ASiC), EN 319 122-1 (CAdES), EN 319 132-1 (XAdES).
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import BinaryIO

from docflow.signing import judgement
from docflow.signing.report import (
    FAILED,
    NOT_SIGNED,
    PASSED,
    Coverage,
    Form,
    SignatureReport,
    VerificationReport,
    failure,
    overall,
    without_signature,
)
from docflow.signing.verifying import cms, xades
from docflow.signing.verifying.archives import Archives
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.covered import with_files
from docflow.signing.verifying.manifests import MANIFEST_NAME, TOKEN_NAME, Manifest, read_manifest
from docflow.signing.verifying.safexml import MAX_XML_BYTES
from docflow.signing.verifying.terms import Terms

MAX_SIGNATURES = 64
_MIMETYPE = "mimetype"
_FORMS: dict[bytes, Form] = {
    b"application/vnd.etsi.asic-e+zip": "asic-e",
    b"application/vnd.etsi.asic-s+zip": "asic-s",
}
_META = "META-INF/"
_CMS = re.compile(r"META-INF/[^/]*signature[^/]*\.p7s", re.IGNORECASE)
_XML = re.compile(r"META-INF/[^/]*signatures[^/]*\.xml", re.IGNORECASE)
_OF_CONTAINER = re.compile(
    r"META-INF/((manifest|container|metadata)\.xml|[^/]*evidencerecord[^/]*\.(ers|xml))",
    re.IGNORECASE,
)


def verify_asic(file: BinaryIO, terms: Terms) -> VerificationReport:
    """Judge every signature and timestamp in a container."""
    try:
        container = Container(file)
        form = _form(container)
        names = container.names
        data = tuple(one for one in names if not one.startswith(_META) and one != _MIMETYPE)
        found = [one for one in names if _CMS.fullmatch(one) or TOKEN_NAME.fullmatch(one)]
        in_xml = [one for one in names if _XML.fullmatch(one)]
        if len(found) + len(in_xml) > MAX_SIGNATURES:
            raise ValueError(f"it holds more than {MAX_SIGNATURES} signatures")
        judging: _Simple | _Extended = (
            _Simple(container, data) if form == "asic-s" else _Extended(container, found, terms)
        )
        signatures = _in_xml(in_xml, container, terms)
        for name in found:
            signatures += judging.judge(name, terms)
    except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
        reason = f"The container is not well-formed: {judgement.one_line(error)}."
        return failure(reason, now=terms.now)
    strays = tuple(one for one in names if one.startswith(_META) and not _belongs(one))
    return _report(form, tuple(signatures), data + strays, terms)


def _belongs(name: str) -> bool:
    """Tell whether a file of META-INF has a name that the standard gives it there."""
    return any(
        one.fullmatch(name) for one in (MANIFEST_NAME, _CMS, TOKEN_NAME, _XML, _OF_CONTAINER)
    )


def _report(
    form: Form, signatures: tuple[SignatureReport, ...], data: tuple[str, ...], terms: Terms
) -> VerificationReport:
    indication, sub_indication = overall(signatures)
    covered = {name for one in signatures for name in one.covers}
    bare = [name for name in data if name not in covered]
    reasons = without_signature(signatures, "The container holds no signature.")
    if signatures and bare:
        reasons = (*reasons, f"No signature covers {_listed(bare)}.")
        if indication in {PASSED, NOT_SIGNED}:
            indication, sub_indication = FAILED, "FORMAT_FAILURE"
    return VerificationReport(
        indication=indication,
        sub_indication=sub_indication,
        signatures=tuple(_with_scope(one, data) for one in signatures),
        reasons=reasons,
        form=form,
        files=data,
        verified_at=terms.now,
    )


def _with_scope(one: SignatureReport, data: tuple[str, ...]) -> SignatureReport:
    """Return the report of a signature with how much of the container it covers."""
    covered = sum(name in one.covers for name in data)
    whole = one.intact and covered == len(data)
    coverage: Coverage = "entire-file" if whole else "unclear"
    told: tuple[str, ...] = ()
    if one.intact and one.covers:
        share = "every file" if whole else f"{covered} of the {len(data)} files"
        told = (f"It covers {share} of the container.",)
    return replace(one, coverage=coverage, reasons=(*one.reasons, *told))


def _form(container: Container) -> Form:
    declared = container.read(_MIMETYPE, 200).strip()
    if declared not in _FORMS:
        raise ValueError("its mimetype is not that of ASiC-E or ASiC-S")
    if not container.first_is_stored(_MIMETYPE):
        raise ValueError("its mimetype is not the first file, stored unpacked")
    return _FORMS[declared]


def _in_xml(names: list[str], container: Container, terms: Terms) -> list[SignatureReport]:
    """Return a report for each XAdES signature, and for each file that holds none.

    Raises:
        ValueError: if there are too many.
    """
    reports: list[SignatureReport] = []
    for name in names:
        try:
            found = xades.signatures_of(container.read(name, xades.MAX_XADES_BYTES))
        except ValueError as error:
            reports.append(replace(judgement.unreadable(name, error), format="XAdES"))
            continue
        if len(reports) + len(found) > MAX_SIGNATURES:
            raise ValueError(f"it holds more than {MAX_SIGNATURES} signatures")
        for position, one in enumerate(found, start=1):
            field = f"{name}#{position}" if len(found) > 1 else name
            reports.append(xades.judge(one, container, terms, name=field))
    return reports


class _Simple:
    """ASiC-S: one file, and a signature over its very bytes."""

    def __init__(self, container: Container, data: tuple[str, ...]) -> None:
        if len(data) != 1:
            raise ValueError(f"ASiC-S holds one signed file, and here are {len(data)}")
        self._container = container
        self._data = data

    def judge(self, name: str, terms: Terms) -> Iterable[SignatureReport]:
        """Return a report for each signer of one signature file."""
        (signed,) = self._data
        return _judged(
            self._container,
            name,
            lambda algorithm: self._container.digest(signed, algorithm),
            terms,
            self._data,
            cms.BY_ITSELF,
        )


class _Extended:
    """ASiC-E: signatures over manifests, which name the files."""

    def __init__(self, container: Container, signatures: list[str], terms: Terms) -> None:
        self._container = container
        names = [one for one in container.names if MANIFEST_NAME.fullmatch(one)]
        self._manifests: dict[str, list[Manifest]] = {}
        for name in names:
            manifest = read_manifest(name, container.read(name, MAX_XML_BYTES))
            self._manifests.setdefault(manifest.signature, []).append(manifest)
        self._archives = Archives(container, self._manifests, signatures, terms)

    def judge(self, name: str, terms: Terms) -> Iterable[SignatureReport]:
        """Return a report for each signer of one signature file."""
        manifests = self._manifests.get(name, [])
        if len(manifests) != 1:
            how = "no manifest names it" if not manifests else "several manifests name it"
            return [
                SignatureReport(
                    field=name,
                    kind="timestamp" if TOKEN_NAME.fullmatch(name) else "signature",
                    indication=FAILED,
                    sub_indication="FORMAT_FAILURE",
                    reasons=(f"What it signs cannot be told: {how}.",),
                )
            ]
        if name in self._archives:
            return [self._archives.report(name)]
        (manifest,) = manifests
        reports = _judged(
            self._container,
            name,
            cms.digest_of_bytes(manifest.content),
            terms,
            manifest.covers,
            cms.Around(self._archives.proven_at(name, manifest), self._archives.evidence_on(name)),
        )
        return [with_files(one, manifest.objects, self._container, terms) for one in reports]


def _judged(
    container: Container,
    name: str,
    digest: cms.Digest,
    terms: Terms,
    covers: tuple[str, ...],
    around: cms.Around = cms.ALONE,
) -> list[SignatureReport]:
    content = container.read(name, cms.MAX_CMS_BYTES)
    if TOKEN_NAME.fullmatch(name):
        return [cms.judge_timestamp(content, digest, terms, name=name, covers=covers)]
    try:
        signed = cms.load(content)
        if cms.has_content(signed):
            raise ValueError("it holds data of its own, and must not")
    except Exception as error:  # noqa: BLE001 - as above
        return [judgement.unreadable(name, error)]
    return list(cms.judge(signed, digest, terms, name=name, covers=covers, around=around))


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(one) for one in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004
