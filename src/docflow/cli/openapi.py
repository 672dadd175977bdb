"""The OpenAPI document, made from the code without a running instance."""

import json

from docflow.api.app import create_app


def document_text() -> str:
    """Return the OpenAPI document as text, the same for the same code."""
    document = create_app(None).openapi()
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
