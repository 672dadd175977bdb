"""The OpenAPI document: what FastAPI finds in the routes, and what it cannot find there.

Rules: every schema that is referred to is in it, and an operation that needs no log-in says so. How
one logs in is said here and not by a dependency of each route, which would be solved at each request.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from docflow.api.routes import ROUTERS
from docflow.api.schemas.documents import DocumentIn

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = "application/problem+json"
_SCHEME = "HTTPBearer"
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A session token (`dfs_…`) or an API key (`dfk_…`).",
}
_PUBLIC = {
    ("/v1/sessions", "post"),
    ("/v1/released/{code}", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
}
_SCRAPE = "MetricsToken"
_METRICS = {"type": "http", "scheme": "bearer", "description": "The token of the metrics alone."}


class DescribedApp(FastAPI):
    """An application whose OpenAPI document is whole."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made at the first call."""
        if self.openapi_schema is None:
            document = super().openapi()
            # its body is JSON or multipart, which no parameter of a route can say
            document["components"]["schemas"]["DocumentIn"] = DocumentIn.model_json_schema(
                ref_template=_REFERENCE
            )
            document["components"]["securitySchemes"] = {_SCHEME: _BEARER, _SCRAPE: _METRICS}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    public = (path, method) in _PUBLIC
                    scheme = _SCRAPE if path == "/metrics" else _SCHEME
                    operation["security"] = [] if public else [{scheme: []}]
            for operations in document["paths"].values():
                for operation in operations.values():
                    _refuse_with_problems(operation["responses"])
        return self.openapi_schema or {}


def _refuse_with_problems(responses: dict[str, dict[str, Any]]) -> None:
    """Say that refusals are problem documents, and not JSON of the route's own."""
    for status, response in responses.items():
        if status >= "400":
            response["content"] = {
                _PROBLEM: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
            }


def methods_of(path: str) -> list[str]:
    """Return the methods that an address takes, of all routes that it matches."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    here = [route.methods or set() for route in routes if route.path_regex.match(path)]
    return sorted(set().union(*here))
