"""Refusals as RFC 9457 problem documents: stable `code`, the rule, a pointer for each bad field.

Only here does an error's category become a status. What is not ours becomes a 500 that says nothing
but the request's id (see `middleware`); its traceback goes to the log.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from docflow.kernel import errors

LOG = structlog.get_logger("docflow.api")

_STATUS: Mapping[type[errors.DocflowError], int] = {
    errors.MalformedError: 400,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.StaleVersionError: 412,
    errors.TooLargeError: 413,
    errors.UnsupportedContentError: 415,
    errors.RangeNotSatisfiableError: 416,
    errors.InvalidInputError: 422,
    errors.VersionRequiredError: 428,
    errors.TooManyAttemptsError: 429,
    errors.IntegrityError: 500,
    errors.ConfigurationError: 500,
    errors.UnavailableError: 503,
}
_RETRY_SECONDS = 2


def status_of(error: errors.DocflowError) -> int:
    """Return the HTTP status for an error's category."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500


def document(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    **members: Any,
) -> dict[str, Any]:
    """Return a problem document; members that are None are left out."""
    body = {
        "type": f"urn:docflow:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}


def of_error(error: errors.DocflowError, instance: str | None) -> dict[str, Any]:
    """Return the problem document of a refusal; `instance` names the request."""
    fields = [{"pointer": f.pointer, "message": f.message} for f in error.fields]
    return document(
        status_of(error),
        error.code,
        error.detail,
        instance=instance,
        rule=error.rule,
        satisfied_by=error.satisfied_by,
        errors=fields or None,
        **error.extra,
    )


def unexpected(instance: str | None) -> dict[str, Any]:
    """Return the problem document of what is no refusal but a defect; it tells nothing of it."""
    return document(
        500,
        "internal-error",
        "Something went wrong inside the service; nothing was changed. "
        "Tell the operator the instance id.",
        instance=instance,
    )


def cut_short(status: int, detail: str) -> Exception:
    """Return what to raise while a body is read: FastAPI takes any other error for a parsing one."""
    return HTTPException(status, detail)


def instance_of(scope: Mapping[str, Any]) -> str | None:
    """Return the name of a request, None if it has none."""
    request_id = scope.get("state", {}).get("request_id")
    return f"urn:uuid:{request_id}" if request_id else None


def response(
    request: Request, error: errors.DocflowError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer to a request that was refused with `error`."""
    status = status_of(error)
    sent = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = 'Bearer realm="docflow"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent["Retry-After"] = str(_RETRY_SECONDS)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "size_bytes" in error.extra:
        sent["Content-Range"] = f"bytes */{error.extra['size_bytes']}"
    if (wait := error.extra.get("retry_after_seconds")) is not None:
        sent["Retry-After"] = str(int(wait) + 1)
    body = of_error(error, instance_of(request.scope))
    return JSONResponse(body, status, sent, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Teach an application to answer every refusal with a problem document."""
    app.add_exception_handler(errors.DocflowError, _refused)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]


async def _refused(request: Request, error: errors.DocflowError) -> JSONResponse:
    if (
        status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
        and "retry_after_seconds" in error.extra
    ):
        # we were asked too much and said when to come back: nothing is broken, and a flood stays small
        LOG.warning("refused", code=error.code, detail=error.detail)
    elif status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOG.error("refused", code=error.code, detail=error.detail, exc_info=error)
    return response(request, error)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = [field_of(item) for item in error.errors()]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return response(
            request,
            errors.MalformedError(
                "The body is not JSON: "
                + str(error.errors()[0].get("ctx", {}).get("error", "it cannot be parsed")),
                code="malformed-json",
            ),
        )
    return response(
        request, errors.InvalidInputError("The request's values are not right.", fields=problems)
    )


def field_of(item: Mapping[str, Any]) -> errors.FieldProblem:
    """Point into the body as RFC 6901; name query, path and header values as they are."""
    place, *path = item["loc"]
    escaped = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    pointer = "/" + "/".join(escaped) if place == "body" else f"{place}:{'/'.join(escaped)}"
    return errors.FieldProblem(pointer, item["msg"])


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        # too deeply nested, not UTF-8, a number of thousands of digits
        return response(
            request,
            errors.MalformedError("The body is not JSON that can be read.", code="malformed-json"),
        )
    codes = {404: "no-such-address", 405: "method-not-allowed", 413: "too-large"}
    detail, satisfied_by, headers = str(error.detail), None, dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail, satisfied_by = "There is no such address.", "See /v1/openapi.json."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = "This address does not take this method."
        headers["Allow"] = ", ".join(request.app.state.methods_of(request.url.path))
        satisfied_by = f"Use {headers['Allow']}."
    body = document(
        error.status_code,
        codes.get(error.status_code, "http-error"),
        detail,
        instance=instance_of(request.scope),
        satisfied_by=satisfied_by,
    )
    return JSONResponse(body, error.status_code, headers, media_type="application/problem+json")
