"""The OpenAPI document: what FastAPI finds in the routes, and what it cannot find there.

Rules: every schema that is referred to is in it, and an operation that needs no log-in says so.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from docflow.api.routes import ROUTERS
from docflow.api.schemas.documents import DocumentIn

_REFERENCE = "#/components/schemas/{model}"
_PUBLIC = {
    ("/v1/sessions", "post"),
    ("/v1/released/{code}", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
}


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
            for path, method in _PUBLIC:
                document["paths"][path][method]["security"] = []
        return self.openapi_schema or {}


def methods_of(path: str) -> list[str]:
    """Return the methods that an address takes, of all routes that it matches."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    here = [route.methods or set() for route in routes if route.path_regex.match(path)]
    return sorted(set().union(*here))
