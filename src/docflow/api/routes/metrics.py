"""/metrics for a monitoring system that has the token; otherwise it is not there."""

import hmac

from fastapi import APIRouter, Response

from docflow.api.context import CallerDep
from docflow.api.metrics import CONTENT_TYPE, Metrics, read_token
from docflow.kernel.errors import NotFoundError, UnauthenticatedError

router = APIRouter(tags=["system"])

_TEXT = {
    200: {
        "description": "The text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/metrics", response_class=Response, responses=_TEXT, summary="Read the metrics")  # type: ignore[arg-type]
def get_metrics(caller: CallerDep) -> Response:
    """Tell requests, jobs, scan, sweeper, staging and failures of the store.

    Asks for the token of DOCFLOW_METRICS_TOKEN_FILE, which is no session and no API key, so that it is
    answered while the database is away.
    """
    metrics: Metrics | None = caller.request.app.state.metrics
    token = read_token(caller.services.settings)
    if metrics is None or token is None:
        raise NotFoundError(
            "This instance gives no metrics.",
            code="metrics-off",
            satisfied_by="Name a file with a token in DOCFLOW_METRICS_TOKEN_FILE.",
        )
    if not hmac.compare_digest(caller.token.encode(), token.encode()):
        raise UnauthenticatedError("Send the metrics token as `Authorization: Bearer …`.")
    return Response(metrics.text(), media_type=CONTENT_TYPE)
