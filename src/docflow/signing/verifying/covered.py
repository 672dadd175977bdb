"""The files of a container that a signature names: are they there, and are they as they were signed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote

from docflow.signing.report import FAILED, INDETERMINATE, Indication, SignatureReport
from docflow.signing.verifying.containers import Container
from docflow.signing.verifying.terms import Terms


@dataclass(frozen=True, slots=True)
class DataObject:
    """One file that a signature or its manifest names."""

    name: str
    algorithm: str
    digest: bytes


def target(uri: str) -> str:
    """Return the name in the container to which a URI leads.

    Raises:
        ValueError: if it leads elsewhere: to an address, a path above, or nowhere.
    """
    name = unquote(uri, errors="strict")
    parts = name.split("/")
    if not name or ":" in parts[0] or "\\" in name or any(p in {"", ".", ".."} for p in parts):
        raise ValueError(f"it names {uri[:100]!r}, which is not in the container")
    return name


def with_files(
    report: SignatureReport,
    objects: Iterable[DataObject],
    container: Container,
    terms: Terms,
    *,
    at: Callable[[str], datetime] | None = None,
) -> SignatureReport:
    """Return the report of a signature with the verdict on the files that it names.

    `at` tells when the digest of a file has to count; by default when the signature is proven, or now.
    """
    when = at or (lambda _: report.proven_at or terms.now)
    faults = list(_faults(objects, when, container, terms))
    if not faults:
        return report
    failed = next((one for one in faults if one[0] == FAILED), faults[0])
    if report.indication == FAILED:
        return replace(report, reasons=(*report.reasons, *(one[2] for one in faults)))
    return replace(
        report,
        indication=failed[0],
        sub_indication=failed[1],
        intact=failed[1] != "HASH_FAILURE" and report.intact,
        reasons=(*(one[2] for one in faults), *report.reasons),
    )


def _faults(
    objects: Iterable[DataObject],
    when: Callable[[str], datetime],
    container: Container,
    terms: Terms,
) -> Iterator[tuple[Indication, str, str]]:
    for one in objects:
        if one.name not in container.names:
            sentence = f"The file {one.name!r} was signed, and is not there."
            yield INDETERMINATE, "SIGNED_DATA_NOT_FOUND", sentence
        elif container.digest(one.name, one.algorithm) != one.digest:
            yield FAILED, "HASH_FAILURE", f"The file {one.name!r} was changed after signing."
        elif terms.policy.algorithms.digest(one.algorithm, when(one.name)).strength == "weak":
            sentence = f"The file {one.name!r} is bound by {one.algorithm}, which is broken."
            yield INDETERMINATE, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", sentence
