"""What can go wrong, told so that a person and a program can act on it.

Services raise these; only the doors (HTTP, command line) turn a category into a status. Each error
carries a stable `code` (documented in docs/errors.md), a sentence (`detail`), and where they exist:
the `rule` that said no, what would satisfy it (`satisfied_by`), and one `FieldProblem` per bad field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field: an RFC 6901 JSON pointer into the input, and what is wrong with it."""

    pointer: str
    message: str


class DocflowError(Exception):
    """Root of every refusal and failure that docflow raises on purpose."""

    default_code: ClassVar[str] = "internal-error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        rule: str | None = None,
        satisfied_by: str | None = None,
        fields: Sequence[FieldProblem] = (),
        **extra: Any,
    ) -> None:
        """Hold the refusal.

        Args:
            detail: one sentence for a person: what is wrong, where, and what would be right.
            code: stable machine name; the class's `default_code` where left out.
            rule: the name of the rule that said no.
            satisfied_by: what would satisfy that rule.
            fields: the bad fields of the input, if it is about fields.
            extra: further JSON-able members of the problem document.
        """
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.rule = rule
        self.satisfied_by = satisfied_by
        self.fields = tuple(fields)
        self.extra = extra


class InvalidInputError(DocflowError):
    """The request is well-formed but a value in it is wrong."""

    default_code = "invalid-input"


class MalformedError(DocflowError):
    """The request cannot be parsed at all."""

    default_code = "malformed-request"


class UnauthenticatedError(DocflowError):
    """Nobody we know is asking."""

    default_code = "unauthenticated"


class ForbiddenError(DocflowError):
    """The asker may know that the thing exists, but may not do this to it."""

    default_code = "forbidden"


class NotFoundError(DocflowError):
    """There is no such thing, or the asker may not know that there is."""

    default_code = "not-found"


class ConflictError(DocflowError):
    """The thing is in a state that does not allow this."""

    default_code = "conflict"


class StaleVersionError(DocflowError):
    """The thing changed since the asker last saw it (optimistic concurrency)."""

    default_code = "stale-version"


class VersionRequiredError(DocflowError):
    """A change was asked for without naming the version it is based on."""

    default_code = "version-required"


class TooLargeError(DocflowError):
    """The body or file is over the limit."""

    default_code = "too-large"


class UnsupportedContentError(DocflowError):
    """The content is of a type that is not accepted here."""

    default_code = "unsupported-content"


class RangeNotSatisfiableError(DocflowError):
    """The range that was asked for lies outside of the file."""

    default_code = "bad-range"


class TooManyAttemptsError(DocflowError):
    """Too many attempts; wait."""

    default_code = "too-many-attempts"


class UnavailableError(DocflowError):
    """Something docflow depends on does not answer; trying again later may work."""

    default_code = "unavailable"


class OutsideUnavailableError(UnavailableError):
    """A service of others is away; a job waits for it for hours, and says so, before it fails."""

    default_code = "outside-unavailable"


class ConfigurationError(DocflowError):
    """The settings or the files they name are wrong; the service refuses to start."""

    default_code = "configuration"


class IntegrityError(DocflowError):
    """Stored data is not what it must be: a digest, a chain or a signature does not hold."""

    default_code = "integrity"


class DevelopmentModeWarning(UserWarning):
    """An insecure stand-in is in use; refused with DOCFLOW_ENVIRONMENT=production."""
