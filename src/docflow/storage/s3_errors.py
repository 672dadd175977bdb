"""What the client, the transport and the service can fail with, as refusals a person can act on.

Three kinds: the service does not answer or has no room (`UnavailableError`, often worth another try),
it refuses what is asked (`ConfigurationError`: keys, bucket, region, clock, rights, TLS), or bytes were
damaged (`IntegrityError`). Sentences name the bucket and the setting's subject, never a key.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from xml.etree import ElementTree as ET

import minio.time
import urllib3.exceptions as http
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from docflow.kernel.errors import (
    ConfigurationError,
    DocflowError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)

# what a request can raise; ValueError: an answer that is no XML, or XML without what it must have
FAILURES = (MinioException, http.HTTPError, OSError, ET.ParseError, ValueError)

_MAX_SKEW_SECONDS = 15 * 60  # S3 refuses what was signed earlier or later
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "Conflict"}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity"}
_BUSY = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestLimitExceeded",
}


class Reason(NamedTuple):
    """Why a service refuses what cannot heal by itself: docflow's code, and a sentence to fill in."""

    code: str
    sentence: str


_CREDENTIALS = Reason(
    "storage-credentials-refused",
    "The object storage refuses the service's credentials; check access key and secret key.",
)
_EXPIRED = Reason(
    "storage-credentials-expired",
    "The service's credentials for the object storage have expired; put new ones in their place.",
)
_SKEW = Reason(
    "storage-clock-skew",
    "The object storage refuses requests because this machine's clock is wrong; "
    "set it by a time server.",
)
_REGION = Reason(
    "storage-region-wrong",
    "The bucket {bucket!r} is in another region or at another address; "
    "correct the storage's region and endpoint.",
)
_RIGHTS = Reason(
    "storage-access-denied",
    "The object storage does not let the service's credentials do this in the bucket {bucket!r}; "
    "check the keys, and grant read, write, list and delete.",
)
_LACKS = Reason(
    "storage-lacks-feature",
    "The object storage does not offer what docflow asks for ({code}); "
    "`docflow storage check` tells what it lacks.",
)
_REFUSALS: Mapping[str, Reason] = {
    "NoSuchBucket": Reason(
        "storage-bucket-missing",
        "The bucket {bucket!r} does not exist; make it, or correct its name in the settings.",
    ),
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidSecurity": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": _SKEW,
    "RequestExpired": _SKEW,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "Redirect": _REGION,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "InvalidRange": Reason("storage-range", "The range lies outside of the stored object."),
    "NotImplemented": _LACKS,
    "MethodNotAllowed": _LACKS,
}
_OTHER = Reason(
    "storage-refused",
    "The object storage refused a request ({status} {code}); "
    "`docflow storage check` tells what it lacks.",
)
REASONS = frozenset({*_REFUSALS.values(), _OTHER})


@dataclass(frozen=True, slots=True)
class Failure:
    """The refusal to raise, and whether the same request may go through in a moment."""

    error: DocflowError
    again: bool


def failure_of(error: Exception, doing: str, bucket: str) -> Failure:
    """Return what a failed request means.

    Args:
        error: one of `FAILURES`.
        doing: what could not be done, as in "the object cannot be <stored>".
        bucket: its name, for the sentence.
    """
    if isinstance(error, S3Error):
        return _refused(error, doing, bucket)
    if isinstance(error, http.HTTPError):
        return _transport(error, doing)
    status = _status(error)
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return Failure(no_room(doing), again=False)
    if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = f"it answered {status} without a reason, as no S3 service does"
        return Failure(unavailable(doing, reason), again=status == HTTPStatus.TOO_MANY_REQUESTS)
    if status is not None:
        return Failure(unavailable(doing, f"it answered {status}"), again=True)
    if isinstance(error, TimeoutError):
        return Failure(unavailable(doing, "it is too slow"), again=True)
    if isinstance(error, OSError):
        reason = error.strerror or "the connection failed"
        return Failure(unavailable(doing, reason.lower()), again=True)
    return Failure(unavailable(doing, "its answer cannot be understood"), again=True)


def unavailable(doing: str, reason: str) -> UnavailableError:
    """Return the refusal for a storage that does not answer as it should."""
    return UnavailableError(
        f"The object cannot be {doing}: the object storage does not answer as it should "
        f"({reason}). Try again later.",
        code="storage-unavailable",
    )


def no_room(doing: str) -> UnavailableError:
    """Return the refusal for a storage that is full."""
    return UnavailableError(
        f"The object cannot be {doing}: the object storage has no room left. "
        "Nothing was stored; make room, then try again.",
        code="storage-full",
    )


def damaged(what: str) -> IntegrityError:
    """Return the refusal for bytes that are not those that were stored or sent."""
    return IntegrityError(f"{what} Tell the operator.", code="object-damaged")


def missing() -> NotFoundError:
    """Return the refusal for an object that is not there."""
    return NotFoundError("The stored object is missing; tell the operator.", code="object-missing")


def _refused(error: S3Error, doing: str, bucket: str) -> Failure:
    code = error.code or "no code"
    status = error.response.status
    if code in {"NoSuchKey", "NoSuchVersion"}:
        return Failure(missing(), again=False)
    if code in _DAMAGED:
        return Failure(
            damaged(f"The object was damaged on the way when it was {doing}."), again=True
        )
    if code in _FULL or status == HTTPStatus.INSUFFICIENT_STORAGE:
        return Failure(no_room(doing), again=False)
    failing = status >= HTTPStatus.INTERNAL_SERVER_ERROR and code not in _REFUSALS
    if failing or code in _CONFLICTS or code in _BUSY:
        return Failure(unavailable(doing, f"it answered {status} {code}"), again=True)
    reason = _REFUSALS.get(code, _OTHER)
    skew = skew_seconds(error.response.headers) or 0
    if status == HTTPStatus.FORBIDDEN and abs(skew) > _MAX_SKEW_SECONDS:
        ahead = "ahead of" if skew > 0 else "behind"
        reason = Reason(
            _SKEW.code,
            f"This machine's clock is {abs(skew) / 60:.0f} minutes {ahead} the object storage's, "
            "which refuses requests because of that; set it by a time server.",
        )
    detail = reason.sentence.format(bucket=bucket, code=code, status=status)
    return Failure(ConfigurationError(detail, code=reason.code), again=False)


def skew_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how far this machine's clock is ahead of the service's, None if it does not say."""
    try:
        there = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    if there.tzinfo is None:
        return None
    # the client's own clock: it is the one that requests are signed by
    return (minio.time.utcnow().replace(tzinfo=UTC) - there).total_seconds()


def _transport(error: http.HTTPError, doing: str) -> Failure:
    if isinstance(error, http.SSLError):
        if _certificate(error):
            return Failure(
                ConfigurationError(
                    "The object storage's TLS certificate is not trusted; "
                    "name its CA in the storage's CA file, or correct the endpoint's host name.",
                    code="storage-not-trusted",
                ),
                again=False,
            )
        return Failure(unavailable(doing, "TLS failed"), again=True)
    for kind, reason in (
        (http.NameResolutionError, "its host name cannot be resolved"),
        (http.NewConnectionError, "it refuses connections"),
        (http.ConnectTimeoutError, "it cannot be reached in time"),
        (http.ReadTimeoutError, "it was silent for too long"),
        (http.IncompleteRead, "the connection was lost"),
        (http.ProtocolError, "the connection was lost"),
    ):
        if isinstance(error, kind):
            return Failure(unavailable(doing, reason), again=True)
    return Failure(unavailable(doing, type(error).__name__), again=True)


def _certificate(error: BaseException | None) -> bool:
    """Tell whether a certificate that cannot be verified is among the causes."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        nested = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = nested[0] if nested else error.__cause__ or error.__context__
    return False


def _status(error: Exception) -> int | None:
    if isinstance(error, ServerError):
        return error.status_code
    if isinstance(error, InvalidResponseError):
        return int(error.args[0].partition("code: ")[2].partition(",")[0])
    return None
