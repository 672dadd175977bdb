"""What the gates of `strict` and `containing` share: rules, each with the sentence of its breach."""

from collections.abc import Iterable
from typing import NoReturn

from docflow.kernel.errors import IntegrityError
from docflow.signing.report import SignatureReport

Rule = tuple[bool, str]
"""Whether it holds, and what is wrong if it does not."""


def own_rules(one: SignatureReport, what: str) -> Iterable[Rule]:
    """Yield what holds of every signature that docflow made, in whatever format."""
    yield one.intact and one.valid and one.trusted and one.ours, f"The {what} is not one of ours."
    yield one.strength == "recommended", f"The {what} is too weak: {one.algorithm}."


def faults(rules: Iterable[Rule]) -> list[str]:
    """Return the sentences of the rules that do not hold."""
    return [sentence for holds, sentence in rules if not holds]


def refuse_file(what: str, code: str, reasons: list[str]) -> NoReturn:
    """Refuse a file.

    Raises:
        IntegrityError: always, with every reason in `extra["reasons"]`.
    """
    raise IntegrityError(f"{what}: {' '.join(reasons)}", code=code, reasons=reasons)
