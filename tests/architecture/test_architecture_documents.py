import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from docflow.settings import Settings
from tests.architecture.rules import ROOT, SOURCE, modules

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
RECORDS = sorted((DOCS / "adr").glob("[0-9]*.md"))
CODED = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)+\.(?:py|yaml|md|json|txt|toml)")


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def as_written(default: object) -> str:
    if default is None or default == "":
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def settings_table() -> str:
    lines = []
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split())
        if get_origin(field.annotation) is Literal:
            meaning += f" One of {', '.join(f'`{value}`' for value in get_args(field.annotation))}."
        lines.append(f"| `DOCFLOW_{name.upper()}` | {as_written(field.default)} | {meaning} |")
    return "\n".join(lines)


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    found = re.search(
        r"<!-- settings: .*?-->\n\|.*?\|\n\|[-|]+\|\n(.*?)<!-- end of settings -->", text, re.DOTALL
    )
    assert found is not None
    wanted = settings_table()
    assert found.group(1).strip() == wanted, f"docs/operations.md needs this table:\n{wanted}"


def test_every_setting_has_a_meaning_and_is_used() -> None:
    code = "\n".join(module.text for module in modules() if module.path != "settings.py")
    own = (SOURCE / "settings.py").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"settings.{name}" in code or f"self.{name}" in own, f"nobody reads {name}"


def test_documents_name_no_setting_that_does_not_exist() -> None:
    known = {f"DOCFLOW_{name.upper()}" for name in Settings.model_fields}
    for page in PAGES:
        named = set(re.findall(r"DOCFLOW_[A-Z0-9_]+", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = {path for code in CODED.findall(prose(page)) for path in FILE.findall(code)}
    made = {path for path in named if path.startswith("var/")}  # by running docflow
    assert {p for p in named - made if not any((at / p).exists() for at in (ROOT, SOURCE))} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    local = {link.split("#")[0] for link in LINK.findall(prose(page)) if "://" not in link}
    assert {link for link in local if link and not (page.parent / link).exists()} == set()


def test_records_are_numbered_without_gap_and_listed() -> None:
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    for path in RECORDS:
        title = path.read_text(encoding="utf-8").splitlines()[0]
        assert f"[{path.name[:4]}]({path.name}) | {title.split('. ', 1)[1]} |" in index


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_why_what_it_costs_and_which_code_holds_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "References"]
    assert re.search(
        r"^Status: (accepted|replaced by \d{4}), \d{4}-\d{2}-\d{2}$", text, re.MULTILINE
    )
    assert "src/docflow/" in text.split("## References")[1] or "requirements/" in text


def test_the_floors_of_the_page_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.+?) \| ", page, re.MULTILINE)
    written = [set(CODED.findall(cells)) for _floor, cells in rows]
    *upper, settings, kernel = contract["layers"]
    floors = [{room.strip() for room in layer.split("|")} for layer in upper]
    assert written == [*floors, {settings, kernel}]
    assert [int(floor) for floor, _ in rows] == list(range(9, -1, -1))
