"""Reads an office seed (`office.yaml`): YAML to frozen values, with every reference checked.

Rules: pure but for reading the one file; all problems are told at once, each with file and line,
what was written and what would be right. A name that is used must exist; a login or a code means
one thing; units are one tree; an administrator holds no other office, because administrators are
not readers.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from docflow.kernel.errors import ConfigurationError, FieldProblem
from docflow.kernel.text import normalise
from docflow.people.seed_models import Clearance, Groups, OfficeSeed

BUILTIN = Path(__file__).resolve().parent.parent / "data" / "office.yaml"

Place = tuple[str | int, ...]
Problem = tuple[Place, str]


def load_seed(path: Path = BUILTIN) -> OfficeSeed:
    """Read and check an office seed; without a path, the sample office that ships with docflow.

    Raises:
        ConfigurationError: if the file cannot be read, is not YAML 1.2, or breaks a rule. The
            detail has one line `FILE:LINE: PLACE: what is wrong` for each problem; `fields` has
            the same with JSON pointers.
    """
    try:
        text = normalise(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the office seed {path} cannot be read: {error}") from error
    return parse_seed(text, path.name)


def parse_seed(text: str, name: str) -> OfficeSeed:
    """Check an office seed given as text; `name` stands for the file in messages.

    Raises:
        ConfigurationError: as `load_seed`.
    """
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        data = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        what = error.problem or error.context
        raise ConfigurationError(f"{name}:{line}: this is not YAML 1.2: {what}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}:1: this is not YAML 1.2: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{name}:1: an office seed is a mapping that starts organisation:")
    try:
        seed = OfficeSeed.model_validate(data)
    except ValidationError as error:
        raise _refusal(name, root, list(_shape_problems(error))) from error
    problems = list(_reference_problems(seed))
    if problems:
        raise _refusal(name, root, problems)
    return seed


def _shape_problems(error: ValidationError) -> Iterator[Problem]:
    found = [
        (tuple(step for step in item["loc"] if not str(step).startswith("?")), item)
        for item in error.errors(include_url=False)
    ]
    places = [place for place, _ in found]
    for place, item in found:
        deeper = any(other[: len(place)] == place and other != place for other in places)
        if item["type"] == "too_short" and deeper:
            continue  # Pydantic leaves wrong members out of the count
        yield place, _shape_message(place, item)


def _shape_message(place: Place, item: ErrorDetails) -> str:
    written = item["input"]
    match item["type"]:
        case "extra_forbidden":
            return f"{place[-1]!r} is not known here{_known_fields(place)}"
        case "missing":
            return f"{place[-1]!r} is missing"
        case "literal_error":
            known = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            return f"{written!r} is none of {', '.join(known)}{_nearest(str(written), known)}"
    message = item["msg"].removeprefix("Value error, ")
    if isinstance(written, str | int | float | bool):
        return f"{written!r}: {message}"
    return message


def _known_fields(place: Place) -> str:
    """Say the nearest known field beside the unknown one at `place`, if one is near."""
    fields: dict[str, Any] = dict(OfficeSeed.model_fields)
    for step in place[:-1]:
        if isinstance(step, int):
            continue
        model = _model_in(fields[step].annotation) if step in fields else None
        if model is None:
            return ""
        fields = dict(model.model_fields)
    names = [str(field.alias or name) for name, field in fields.items()]
    return _hint(str(place[-1]), names)


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _hint(written: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    return _nearest(written, names) or (f"; known are {', '.join(names)}" if names else "")


def _nearest(written: str, names: list[str]) -> str:
    near = difflib.get_close_matches(written, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _refusal(name: str, root: Node, problems: list[Problem]) -> ConfigurationError:
    lines = []
    fields = []
    for place, message in problems:
        where = ".".join(str(step) for step in place)
        lines.append(f"{name}:{_line(root, place)}: {where}: {message}")
        pointer = "".join(f"/{str(s).replace('~', '~0').replace('/', '~1')}" for s in place)
        fields.append(FieldProblem(pointer, message))
    return ConfigurationError("\n".join(lines), code="office-seed", fields=fields)


def _line(node: Node, place: Place) -> int:
    """Find the line of the deepest node on the way to `place`.

    Steps that are no part of the file (names of alternatives that Pydantic tried) are passed over.
    """
    line = int(node.start_mark.line) + 1
    for step in place:
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if isinstance(key, ScalarNode) and key.value == str(step):
                    node, line = value, int(key.start_mark.line) + 1
                    break
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = int(node.start_mark.line) + 1
    return line


def _reference_problems(seed: OfficeSeed) -> Iterator[Problem]:
    yield from _duplicates(seed)
    yield from _unit_problems(seed)
    yield from _people_problems(seed)
    yield from _recipient_problems(seed)
    yield from _book_problems(seed)
    yield from _calendar_problems(seed)
    yield from _clearance_problems(seed)
    levels = [level.code for level in seed.classification.levels]
    ceiling = seed.classification.ceiling
    if ceiling not in levels:
        yield ("classification", "ceiling"), f"{ceiling!r} is no level{_hint(ceiling, levels)}"
    sealed_from = seed.classification.sealed_from
    if sealed_from not in levels:
        told = f"{sealed_from!r} is no level{_hint(sealed_from, levels)}"
        yield ("classification", "sealed_from"), told


def _duplicates(seed: OfficeSeed) -> Iterator[Problem]:
    lists: dict[Place, list[str]] = {
        ("units",): [unit.code for unit in seed.units],
        ("recipients",): [recipient.code for recipient in seed.recipients],
        ("document_types",): [kind.code for kind in seed.document_types],
        ("urgency_levels",): [level.code for level in seed.urgency_levels],
        ("classification", "levels"): [level.code for level in seed.classification.levels],
        ("books",): [book.code for book in seed.books],
        ("people",): [person.login for person in seed.people],
    }
    for place, codes in lists.items():
        key = "login" if place == ("people",) else "code"
        for index in _repeated(codes):
            yield (*place, index, key), f"{codes[index]!r} is already taken further up"
    people = {person.login for person in seed.people}
    logins = [system.login for system in seed.systems]
    for index in _repeated(logins):
        yield ("systems", index, "login"), f"{logins[index]!r} is already taken further up"
    for index, login in enumerate(logins):
        if login in people:
            yield ("systems", index, "login"), f"{login!r} is the login of a person"
    written = [kind.symbol for kind in seed.document_types]
    for index in _repeated(written):
        if written[index] is not None:
            message = f"another type is already written {written[index]!r} in symbols"
            yield ("document_types", index, "symbol"), message


def _repeated(values: list[Any]) -> Iterator[int]:
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)


def _unit_problems(seed: OfficeSeed) -> Iterator[Problem]:
    parents = {unit.code: unit.parent for unit in seed.units}
    roots = [unit.code for unit in seed.units if unit.parent is None]
    for index, unit in enumerate(seed.units):
        if unit.parent is None:
            if unit.code != roots[0]:
                message = f"{unit.code!r} is a second root; give it a parent, {roots[0]!r} perhaps"
                yield ("units", index), message
            continue
        if unit.parent not in parents:
            message = f"there is no unit {unit.parent!r}{_hint(unit.parent, parents)}"
            yield ("units", index, "parent"), message
            continue
        path = _ancestors(unit.code, parents)
        if path[-1] == unit.code:
            message = f"the units go round in a circle: {' → '.join(path)}"
            yield ("units", index, "parent"), message


def _ancestors(code: str, parents: dict[str, str | None]) -> list[str]:
    """The way up from `code`; it ends where a unit comes up again, or at the top."""
    path = [code]
    seen = {code}
    step = parents.get(code)
    while step is not None:
        path.append(step)
        if step in seen:
            break
        seen.add(step)
        step = parents.get(step)
    return path


def _people_problems(seed: OfficeSeed) -> Iterator[Problem]:
    units = [unit.code for unit in seed.units]
    for index, person in enumerate(seed.people):
        roles = Counter(office.role for office in person.offices)
        if roles["administrator"] and roles.total() > 1:
            message = (
                f"{person.login!r} is an administrator and holds another office; "
                "administrators are not readers, so give the other office to another person"
            )
            yield ("people", index, "offices"), message
        for number in _repeated(list(person.offices)):
            message = f"{person.login!r} already holds this office"
            yield ("people", index, "offices", number), message
        for number, office in enumerate(person.offices):
            if office.unit not in units:
                message = f"there is no unit {office.unit!r}{_hint(office.unit, units)}"
                yield ("people", index, "offices", number, "unit"), message
    for index, system in enumerate(seed.systems):
        if system.unit not in units:
            message = f"there is no unit {system.unit!r}{_hint(system.unit, units)}"
            yield ("systems", index, "unit"), message


def _clearance_problems(seed: OfficeSeed) -> Iterator[Problem]:
    codes = seed.classification.codes()
    if seed.classification.sealed_from not in codes:
        return  # told already
    # not only up to the ceiling: that may be lowered while people keep what they were cleared for
    levels = [code for code in codes if seed.classification.is_sealed(code)]
    named: dict[Place, Clearance | None] = {
        ("people", index): person.clearance for index, person in enumerate(seed.people)
    }
    named |= {("systems", index): system.clearance for index, system in enumerate(seed.systems)}
    for place, clearance in named.items():
        if clearance is None or clearance.level in levels:
            continue
        level = clearance.level
        if level in codes:
            message = f"{level!r} needs no clearance; name {', '.join(levels)}, or none"
        else:
            message = f"{level!r} is no level{_hint(level, codes)}"
        yield (*place, "clearance", "level"), message


def _recipient_problems(seed: OfficeSeed) -> Iterator[Problem]:
    units = [unit.code for unit in seed.units]
    logins = [person.login for person in seed.people]
    for index, recipient in enumerate(seed.recipients):
        place: Place = ("recipients", index)
        if recipient.external and (recipient.unit or recipient.login):
            message = f"{recipient.code!r} is external, so it is no unit or person of this office"
            yield place, message
        if recipient.unit and recipient.kind == "person":
            yield (*place, "unit"), "a person is not a unit; name the login"
        if recipient.login and recipient.kind == "organisation":
            yield (*place, "login"), "an organisation has no login; name the unit"
        if recipient.unit and recipient.unit not in units:
            message = f"there is no unit {recipient.unit!r}{_hint(recipient.unit, units)}"
            yield (*place, "unit"), message
        if recipient.login and recipient.login not in logins:
            message = f"there is no person {recipient.login!r}{_hint(recipient.login, logins)}"
            yield (*place, "login"), message


def _book_problems(seed: OfficeSeed) -> Iterator[Problem]:
    types = {kind.code: kind for kind in seed.document_types}
    written: dict[tuple[str, str], str] = {}
    for index, book in enumerate(seed.books):
        for field in ("symbol_format", "symbol_format_untyped"):
            text = getattr(book, field)
            if text is None:
                continue
            other = written.setdefault((book.office or "", text), book.code)
            if other != book.code:
                message = f"the book {other!r} gives the same symbols; tell the two apart"
                yield ("books", index, field), message
        if isinstance(book.series, Groups):
            for place, message in _group_problems(book.series, types):
                yield ("books", index, "series", *place), message


def _group_problems(series: Groups, types: dict[str, Any]) -> Iterator[Problem]:
    home: dict[str, str] = {}
    for group, codes in series.groups.items():
        for number, code in enumerate(codes):
            place: Place = ("groups", group, number)
            if code not in types:
                yield place, f"there is no document type {code!r}{_hint(code, types)}"
            elif code in home:
                yield place, f"{code!r} is already in the group {home[code]!r}"
            home.setdefault(code, group)
    untyped = [code for code, kind in types.items() if kind.symbol is None]
    if len({home.get(code) for code in untyped}) > 1:
        message = (
            f"{' and '.join(untyped)} are written alike in symbols, so they need one common series"
        )
        yield ("groups",), message


def _calendar_problems(seed: OfficeSeed) -> Iterator[Problem]:
    zones: dict[Place, str] = {("organisation", "timezone"): seed.organisation.timezone}
    for name, calendar in seed.calendars.items():
        zones["calendars", name, "timezone"] = calendar.timezone
        days = [holiday.date for holiday in calendar.holidays]
        for index in _repeated(days):
            yield ("calendars", name, "holidays", index), f"{days[index]} is listed twice"
    for place, zone in zones.items():
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield place, f"there is no timezone {zone!r}; write one like Asia/Ho_Chi_Minh"
