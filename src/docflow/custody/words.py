"""What people wrote in a request: the only way in and out of the column `words`.

A reason can tell what a document is about, so it is kept as the document's own texts are.
"""

from collections.abc import Mapping
from typing import Any

from docflow.custody.model import Custody
from docflow.db import Row


def keep(
    _custody: Custody, _document: Row | None, _request_id: str, words: Mapping[str, str]
) -> dict[str, Any]:
    """Return what is stored of `words` (`asked_for`, `reason`, `decision_reason`).

    Args:
        _custody: the room's tools.
        _document: the document's row; None if there is no such document.
        _request_id: the request's id.
        words: texts by name.
    """
    return dict(words)


def read(_custody: Custody, _document: Row | None, request: Row) -> Mapping[str, str]:
    """Return the words of a request; `_document` is the row that they were kept with."""
    words: Mapping[str, str] = request["words"]
    return words
