"""The guide names every word of the language, and its examples are true."""

import re
from pathlib import Path
from typing import get_args

import pytest

from docflow.workflow import WorkflowFileError, load_source
from docflow.workflow.definition import (
    FieldDefinition,
    SignDefinition,
    StateDefinition,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.facts import RefusalCode
from docflow.workflow.guards import find_guard
from docflow.workflow.places import SignPlace
from docflow.workflow.vocabulary import (
    CORNERS,
    EFFECTS,
    FIELD_TYPES,
    GUARDS,
    REFUSED_ROLES,
    ROLES,
    STANDARD_PLACE,
)

GUIDE = (Path(__file__).parents[3] / "docs" / "workflow-language.md").read_text(encoding="utf-8")
EXAMPLE = next(iter(re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)))

WORDS = [
    *ROLES,
    *REFUSED_ROLES,
    *GUARDS,
    *EFFECTS,
    *FIELD_TYPES,
    *CORNERS,
    STANDARD_PLACE,
    *get_args(RefusalCode),
    *(
        field.alias or name
        for model in (
            WorkflowDefinition,
            FieldDefinition,
            StateDefinition,
            TransitionDefinition,
            SignDefinition,
            SignPlace,
        )
        for name, field in model.model_fields.items()
    ),
]


@pytest.mark.parametrize("word", sorted(set(WORDS)))
def test_the_guide_names_every_word(word: str) -> None:
    assert re.search(rf"`(\w+: )?\{{?{re.escape(word)}\b[^`]*`", GUIDE)


def test_the_example_is_sound() -> None:
    assert load_source(EXAMPLE.encode(), "letter.yaml").name == "letter"


def test_the_violation_it_shows_is_the_one_that_is_told() -> None:
    unsealed = EXAMPLE.replace("    sign: {as: organisation}\n", "").split("never:")[0]
    with pytest.raises(WorkflowFileError) as caught:
        load_source(unsealed.encode(), "letter.yaml")
    shown = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    assert [str(problem) for problem in caught.value.problems] == [" ".join(shown[0].split())]


def test_every_guard_of_the_vocabulary_has_its_function() -> None:
    for name in GUARDS:
        function = find_guard(name)
        assert function.__name__ == name
        assert function.__doc__
