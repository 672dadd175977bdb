"""docs/audit.md names exactly the findings that the code can make, and the sequencer's refusals."""

import re
from pathlib import Path

import docflow

SOURCE = Path(docflow.__file__).parent / "audit"
DOCUMENT = Path(docflow.__file__).parents[2] / "docs" / "audit.md"
FOUND = re.compile(r'(?:_find|\bfind)\(\s*"([a-z]+(?:-[a-z]+)*)"')
PARTIAL = re.compile(r'notebook\.find, "([a-z-]+)"')


def code() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCE.glob("*.py"))


def table_of(heading: str) -> set[str]:
    """Return the names in the first column of the table under a line."""
    text = DOCUMENT.read_text("utf-8").partition(heading)[2]
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", row)}


def test_every_finding_is_documented() -> None:
    made = set(FOUND.findall(code())) | set(PARTIAL.findall(code()))
    made |= {"published-checkpoint"}  # told through a method of its own
    assert len(made) > 30
    assert table_of("| check | what does not hold |") == made


def test_every_refusal_of_the_sequencer_is_documented() -> None:
    text = (SOURCE / "sequencer.py").read_text("utf-8")
    assert set(re.findall(r'code="([a-z-]+)"', text)) <= table_of("| code | what it found |")
