"""What the gates of `strict` and `containing` share: rules, each with the sentence of its breach."""

from collections.abc import Iterable
from datetime import datetime
from typing import NoReturn

from docflow.kernel.errors import IntegrityError
from docflow.signing.dated import NewSignatures
from docflow.signing.report import SignatureReport

Rule = tuple[bool, str]
"""Whether it holds, and what is wrong if it does not."""


def own_rules(one: SignatureReport, what: str) -> Iterable[Rule]:
    """Yield what holds of every signature that docflow made, in whatever format."""
    yield one.intact and one.valid and one.trusted and one.ours, f"The {what} is not one of ours."
    yield (
        one.strength in {"recommended", "legacy"},
        f"The {what} is too weak: {one.algorithm}.",
    )


def require_lasting(
    reports: Iterable[SignatureReport],
    algorithms: NewSignatures,
    expected: Iterable[str],
    now: datetime,
) -> None:
    """Refuse a file of which a signature of ours uses what the dated policy ends too soon.

    Args:
        reports: on its signatures.
        algorithms: the policy, with the margin.
        expected: SHA-256 of the certificates that count as ours; others are refused by their own rules.
        now: when it is judged, for what is not proven to be older.

    Raises:
        IntegrityError: code `algorithm-out-of-policy`, with every reason in `extra["reasons"]`.
    """
    ours = set(expected)
    late = algorithms.report_faults((one for one in reports if one.certificate_sha256 in ours), now)
    if late:
        refuse_file("The algorithm policy refuses the file", "algorithm-out-of-policy", late)


def faults(rules: Iterable[Rule]) -> list[str]:
    """Return the sentences of the rules that do not hold."""
    return [sentence for holds, sentence in rules if not holds]


def refuse_file(what: str, code: str, reasons: list[str]) -> NoReturn:
    """Refuse a file.

    Raises:
        IntegrityError: always, with every reason in `extra["reasons"]`.
    """
    raise IntegrityError(f"{what}: {' '.join(reasons)}", code=code, reasons=reasons)
