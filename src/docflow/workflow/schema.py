"""The JSON Schema of the workflow language, generated from the definitions, for editors."""

import json
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from docflow.workflow.definition import WorkflowDefinition

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Plain(GenerateJsonSchema):
    """Leaves out generated titles and nulls, and closes mappings whose keys have a pattern."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as inherited
        """Write no title where we gave none."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Offer editors the value only; leaving a key out is how to write nothing."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Write a default only where it says something."""
        result = super().default_schema(schema)
        if result.get("default", 0) in (None, [], {}):
            result.pop("default")
        return result

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Refuse keys that do not match the pattern."""
        result = super().dict_schema(schema)
        if "patternProperties" in result:
            result["additionalProperties"] = False
        return result


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a workflow file."""
    generated = WorkflowDefinition.model_json_schema(by_alias=True, schema_generator=_Plain)
    for definition in generated.get("$defs", {}).values():
        definition.pop("title", None)
    generated.pop("title", None)
    return {
        "$schema": _DIALECT,
        "title": "docflow workflow",
        **generated,
        "description": "A procedure of docflow: states, transitions, who may fire them and when.",
    }


def json_schema_text() -> str:
    """Return the schema as it is committed: indented, one line break at the end."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
