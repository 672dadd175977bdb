"""The archive time stamps of an ASiC-E container: what they prove of the files that they cover.

Rules:
- An archive time stamp counts if it is good and every file that its manifest names is there, with that
  digest. It is judged at the instant at which a later one, good itself, proves token and manifest, else
  now: the last first, as document timestamps of a PDF.
- The digest of a file counts at the instant at which such a later one proves that very file too, else now.
- It proves a signature that it covers whole: the signature file, its manifest, every file of that.
- Archive manifests that name each other, or themselves, prove nothing.

Source: ETSI EN 319 162-1, A.7; EN 319 102-1, 5.6.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from docflow.signing.report import FAILED, INDETERMINATE, PASSED, SignatureReport
from docflow.signing.verifying import cms, evidence
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.covered import with_files
from docflow.signing.verifying.evidence import Carried
from docflow.signing.verifying.manifests import Manifest
from docflow.signing.verifying.terms import Terms


class Archives:
    """The archive time stamps of one container, each judged once."""

    def __init__(
        self,
        container: Container,
        manifests: Mapping[str, Sequence[Manifest]],
        signatures: Iterable[str],
        terms: Terms,
    ) -> None:
        """Find them.

        Args:
            container: the container.
            manifests: by the file that signs or stamps them.
            signatures: the names of its signature and token files.
            terms: the terms.
        """
        self._container = container
        self._terms = terms
        self._names = tuple(signatures)
        self._stamps = {
            token: found[0]
            for token, found in manifests.items()
            if len(found) == 1 and found[0].archives and token in self._names
        }
        self._naming: dict[str, set[str]] = {}  # a file → the tokens whose manifests name it
        for token, manifest in self._stamps.items():
            for name in manifest.covers:
                self._naming.setdefault(name, set()).add(token)
        self._known: dict[str, SignatureReport] = {}
        self._contents: dict[str, Carried] = {}

    def __contains__(self, token: str) -> bool:
        """Tell whether a token file is an archive time stamp."""
        return token in self._stamps

    def report(self, token: str) -> SignatureReport:
        """Return the report on an archive time stamp."""
        if token not in self._known:
            self._known[token] = self._judged(token)
        return self._known[token]

    def proven_at(self, signature: str, manifest: Manifest) -> datetime | None:
        """Return the earliest instant that a good one proves of a signature with all that it signs."""
        return self._proven((signature, manifest.name, *manifest.covers), self._stamps)

    def evidence_on(self, signature: str) -> Carried:
        """Return what the tokens that cover a signature file carry."""
        return _joined(self._carried(one) for one in sorted(self._covering((signature,))))

    def _judged(self, token: str) -> SignatureReport:
        manifest = self._stamps[token]
        if token in self._in_circles:
            return SignatureReport(
                field=token,
                kind="timestamp",
                indication=FAILED,
                sub_indication="FORMAT_FAILURE",
                covers=manifest.covers,
                reasons=("Its archive manifest is among those that it names, or is named by.",),
            )
        later = self._covering((token, manifest.name))
        proven = self._proven((token, manifest.name), later)
        at = proven or self._terms.now
        report = cms.judge_timestamp(
            self._container.read(token, cms.MAX_CMS_BYTES),
            cms.digest_of_bytes(manifest.content),
            self._terms,
            name=token,
            covers=manifest.covers,
            at=at,
            also=_joined(self._carried(one) for one in self._names if one != token),
        )
        if proven is not None and _is_later(report, proven):
            report = _out_of_order(report)
        return with_files(
            report,
            manifest.objects,
            self._container,
            self._terms,
            at=lambda name: self._proven((name,), later) or self._terms.now,
        )

    def _covering(self, names: Iterable[str]) -> set[str]:
        """Return the tokens whose manifests name all of these."""
        return set.intersection(*(self._naming.get(one, set()) for one in names))

    def _proven(self, names: Iterable[str], tokens: Iterable[str]) -> datetime | None:
        """Return the earliest instant that a good one of these tokens proves of all these files."""
        reports = [self.report(one) for one in self._covering(names).intersection(tokens)]
        good = (one.proven_at for one in reports if one.indication == PASSED)
        return min(filter(None, good), default=None)

    @functools.cached_property
    def _in_circles(self) -> set[str]:
        """The tokens that lead back to themselves: from a token to those that name it or its manifest."""
        above = {
            token: self._naming.get(token, set()) | self._naming.get(manifest.name, set())
            for token, manifest in self._stamps.items()
        }
        return {token for token in above if token in _reached(token, above)}

    def _carried(self, name: str) -> Carried:
        """Return what a signature or token file carries; nothing if it cannot be read."""
        if name not in self._contents:
            try:
                content = self._container.read(name, cms.MAX_CMS_BYTES)
                self._contents[name] = evidence.of_cms(cms.load(content))
            except Exception:  # noqa: BLE001 - the parser throws anything; its own report says so
                self._contents[name] = Carried()
        return self._contents[name]


def _reached(start: str, above: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(above[start])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += above[one]
    return found


def _joined(several: Iterable[Carried]) -> Carried:
    """Return all that several carry, each thing once.

    Raises:
        ValueError: if it is more than is bearable.
    """
    found = list(several)
    joined = Carried(
        list(_once(one for each in found for one in each.certificates)),
        list(_once(one for each in found for one in each.crls)),
        list(_once(one for each in found for one in each.answers)),
    )
    if len(joined.certificates) + len(joined.crls) + len(joined.answers) > (
        evidence.MAX_VALIDATION_OBJECTS
    ):
        raise ValueError("its signatures carry too many certificates and revocation lists")
    return joined


def _once(things: Iterable[Any]) -> Iterator[Any]:
    seen: set[bytes] = set()
    for one in things:
        der = one.dump()
        if der not in seen:
            seen.add(der)
            yield one


def _is_later(report: SignatureReport, proven: datetime) -> bool:
    good = report.indication == PASSED or report.sub_indication == "TIMESTAMP_ORDER_FAILURE"
    return good and report.signed_at is not None and report.signed_at > proven


def _out_of_order(report: SignatureReport) -> SignatureReport:
    return replace(
        report,
        indication=INDETERMINATE,
        sub_indication="TIMESTAMP_ORDER_FAILURE",
        proven_at=None,
        time_is_proven=False,
        trusted=False,
        reasons=("A later archive time stamp over it is of an earlier time.", *report.reasons),
    )
