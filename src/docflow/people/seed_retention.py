"""How an office file says how long files are kept: `retention: 10y`, at a type or for all of them."""

from typing import Annotated

from pydantic import PlainValidator

from docflow.workflow.retention import Retention, parse_retention


def _read(written: object) -> Retention:
    found = parse_retention(written)
    if found is None:
        raise ValueError(f"{written!r} is for workflows; write 10y, 90d or permanent")
    return found


RetentionText = Annotated[Retention, PlainValidator(_read)]
