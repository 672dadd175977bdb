"""What a later version of a PDF may add: signature fields made of what they need, and data for validation.

What is not named here is refused; pyHanko's rules, which these stand beside, name what may not change:
- A new field or widget of a signature has the entries that say what and where it is and how it looks;
  no action, no layer, nothing that a reader does.
- It is drawn by a form XObject of its own, which shows nothing of another file.
- What lies on a page stays in its order: what comes later lies on top.
- A form that was drawn from appearances stays so, and one drawn from values: else other values are seen
  than when it was signed. Its default resources gain entries; none is replaced.
- The catalogue gains a version, extensions and marks, which hold no more than the standard gives them.
- Validation data lie in streams that are nothing else.

Source: ISO 32000-2, 7.12 (extensions), 12.5.2 (annotations), 12.5.6.19 (widgets), 12.7.3 (form), 12.7.5.5
(signature fields), 12.8.4.3 (DSS); shadow attacks (pdf-insecurity.org).
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver
from pyhanko.sign.diff_analysis import SuspiciousModification, WhitelistRule
from pyhanko.sign.diff_analysis.rules_api import ReferenceUpdate

_FIELD: Final = {
    "/Type",
    "/Subtype",
    "/FT",
    "/T",
    "/TU",
    "/TM",
    "/Ff",
    "/V",
    "/Kids",
    "/Parent",
    "/Lock",
    "/SV",
    "/DA",
    "/Q",
    "/DR",
    "/Rect",
    "/P",
    "/F",
    "/NM",
    "/M",
    "/AP",
    "/MK",
    "/H",
    "/BS",
    "/Border",
    "/StructParent",
}
_KEYS: Final = {
    "/Lock": {"/Type", "/Action", "/Fields", "/P"},
    "/SV": {
        "/Type",
        "/Ff",
        "/Filter",
        "/SubFilter",
        "/DigestMethod",
        "/V",
        "/Cert",
        "/Reasons",
        "/MDP",
        "/TimeStamp",
        "/LegalAttestation",
        "/AddRevInfo",
        "/LockDocument",
        "/AppearanceFilter",
    },
    "/MK": {"/R", "/BC", "/BG"},
    "/BS": {"/Type", "/W", "/S", "/D"},
    "/AP": {"/N", "/R", "/D"},
    "/DR": {
        "/ExtGState",
        "/ColorSpace",
        "/Pattern",
        "/Shading",
        "/XObject",
        "/Font",
        "/ProcSet",
        "/Properties",
        "/Encoding",
    },
}
_LOOK: Final = {
    "/Type",
    "/Subtype",
    "/FormType",
    "/BBox",
    "/Matrix",
    "/Resources",
    "/Group",
    "/StructParent",
    "/StructParents",
    "/Name",
    "/LastModified",
    "/Length",
    "/Filter",
    "/DecodeParms",
}
_MARKS: Final = {"/Type", "/Marked", "/UserProperties", "/Suspects"}
_EXTENSION: Final = {"/Type", "/BaseVersion", "/ExtensionLevel", "/ExtensionRevision", "/URL"}
_DATA: Final = {"/Type", "/Length", "/Filter", "/DecodeParms", "/DL"}
_OF_DSS: Final = ("/Certs", "/CRLs", "/OCSPs", "/Cert", "/CRL", "/OCSP")
_VERSION: Final = re.compile(r"/\d\.\d")
_MOST_FIELDS: Final = 100_000


class Addition(SuspiciousModification):
    """Something was added that does not belong to a signature; the message is a sentence for people."""


class AdditionsRule(WhitelistRule):
    """Refuses what is added and is not named above; what may change is for the other rules to tell."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterable[ReferenceUpdate]:
        """Yield nothing.

        Raises:
            Addition: if something is added that may not be.
        """
        _check_catalogue(old.root, new.root)
        before, after = fields_of(old), fields_of(new)
        for reference, field in after.items():
            if reference not in before:
                _check_field(field)
            elif "/V" in field and "/V" not in before[reference]:
                _check_look(field)
        if after.keys() - before.keys():  # else no page may change at all
            _check_order(old, new)
        signatures = all(_kind(one) == "/Sig" for one in after.values() if "/T" in one)
        _check_form(_form(old), _form(new), only_signatures=signatures)
        _check_evidence(entry(old.root, "/DSS", None), entry(new.root, "/DSS", None))
        return ()


def fields_of(revision: Any) -> dict[generic.Reference, Any]:
    """Return every field and widget of a form by its reference, those of one name too.

    Raises:
        Addition: if the form cannot be read, or is too large.
    """
    found: dict[generic.Reference, Any] = {}
    waiting = list(_array(entry(_form(revision), "/Fields", ())))
    while waiting:
        one = waiting.pop()
        if not isinstance(one, generic.IndirectObject):
            raise Addition("A field of the form is not an object of its own.")
        if one.reference in found:
            continue
        field = resolved(one)
        if not isinstance(field, generic.DictionaryObject) or len(found) > _MOST_FIELDS:
            raise Addition("The fields of the form cannot be read.")
        found[one.reference] = field
        waiting += _array(entry(field, "/Kids", ()))
    return found


def pages_of(revision: Any) -> Iterator[Any]:
    """Yield the reference of every page of a version, once."""
    waiting: list[Any] = [revision.root.raw_get("/Pages")]
    seen = set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, generic.IndirectObject) or one.reference in seen:
            continue
        seen.add(one.reference)
        kids = list(_array(entry(resolved(one), "/Kids", ())))
        waiting += kids
        if not kids:
            yield one


def _check_order(old: HistoricalResolver, new: HistoricalResolver) -> None:
    """Refuse annotations in another order: the last one lies on top."""
    for page in pages_of(new):
        before, after = (_annotations(one(page.reference)) for one in (old, new))
        known = set(before)
        if before != after and [one for one in after if one in known] != before:
            raise Addition("What lies on a page was put in another order.")


def _annotations(page: Any) -> list[generic.Reference | None]:
    return [getattr(one, "reference", None) for one in _array(entry(page, "/Annots", ()))]


def resolved(value: Any) -> Any:
    """Return the object to which a reference leads, and all else as it is."""
    held: Any = value
    return held.get_object() if isinstance(value, generic.IndirectObject) else held


def entry(dictionary: Any, name: str, default: Any = None) -> Any:
    """Return what an entry holds, though it is an object of its own: `get` of pyHanko's does not."""
    held = dictionary[name] if name in dictionary else None  # noqa: SIM401 - for that very reason
    return default if held is None or isinstance(held, generic.NullObject) else held


def _array(value: Any) -> Iterator[Any]:
    values = resolved(value)
    return iter(values) if isinstance(values, list | tuple) else iter(())


def _form(revision: Any) -> Any:
    form = entry(revision.root, "/AcroForm", None)
    return form if isinstance(form, generic.DictionaryObject) else {}


def _kind(field: Any) -> str:
    for _ in range(100):
        if "/FT" in field:
            return str(field["/FT"])
        if "/Parent" not in field:
            break
        field = field["/Parent"]
    return ""


def _only(what: str, value: Any, allowed: Collection[str]) -> None:
    """Refuse a dictionary with other entries; what is no dictionary holds none."""
    more = sorted(set(value) - set(allowed)) if isinstance(value, dict) else []
    if more:
        raise Addition(f"{what} has what it may not have: {', '.join(more)[:100]}.")


def _check_field(field: Any) -> None:
    """Refuse a new field or widget that is not one of a signature and nothing else."""
    _only("A signature field that was added", field, _FIELD)
    if entry(field, "/FT", "/Sig") != "/Sig" or entry(field, "/Subtype", "/Widget") != "/Widget":
        raise Addition("A field or annotation was added that is not a signature's.")
    for name in ("/Lock", "/SV", "/MK", "/BS", "/DR"):
        _only(
            f"The entry {name} of a signature field that was added",
            entry(field, name, None),
            _KEYS[name],
        )
    _check_look(field)


def _check_look(field: Any) -> None:
    """Refuse a look that is more than form XObjects."""
    looks = entry(field, "/AP", None)
    if looks is None:
        return
    _only("The look of a signature field", looks, _KEYS["/AP"])
    for name in looks:
        look = looks[name]
        if not isinstance(look, generic.StreamObject) or entry(look, "/Subtype", None) != "/Form":
            raise Addition("The look of a signature field is not a form XObject.")
        _only("The look of a signature field", look, _LOOK)


def _check_form(old: Any, new: Any, *, only_signatures: bool) -> None:
    drawn, draws = (bool(entry(one, "/NeedAppearances", False)) for one in (old, new))
    if drawn != draws and (draws or not only_signatures):
        raise Addition(
            "The form's fields are drawn anew by readers, and show other than when it was signed "
            "(NeedAppearances)."
            if draws
            else "The form's fields are no longer drawn from their values, as when it was signed "
            "(NeedAppearances)."
        )
    for name in ("/DA", "/Q"):
        if entry(new, name, None) != entry(old, name, None) and (name in old or drawn):
            raise Addition(f"How the form's fields look was changed ({name}).")
    _check_resources(entry(old, "/DR", None), entry(new, "/DR", None), drawn=drawn)


def _check_resources(old: Any, new: Any, *, drawn: bool) -> None:
    """Refuse other default resources; more are refused where fields are drawn from their values."""
    if drawn and old != new:
        raise Addition("The form's resources were changed (DR).")
    old, new = old or {}, new or {}
    _only("The form's resources", {key: None for key in new if key not in old}, _KEYS["/DR"])
    for key in old:
        before, after = old[key], entry(new, key, None)
        same = before == after
        if all(isinstance(one, generic.DictionaryObject) for one in (before, after)):
            same = all(
                name in after and after.raw_get(name) == before.raw_get(name) for name in before
            )
        if not same:
            raise Addition(f"The form's resources were changed ({key}).")


def _check_catalogue(old: Any, new: Any) -> None:
    version = entry(new, "/Version", None)
    if version != entry(old, "/Version", None) and not _VERSION.fullmatch(str(version)):
        raise Addition("The catalogue names no version of PDF.")
    marks = entry(new, "/MarkInfo", None)
    if marks != entry(old, "/MarkInfo", None):
        _only("The mark information", marks, _MARKS)
    extensions = entry(new, "/Extensions", None)
    if extensions != entry(old, "/Extensions", None) and isinstance(extensions, dict):
        for name in extensions:
            value = extensions[name]
            for one in value if isinstance(value, list) else [value]:
                _only("An extension that the catalogue names", resolved(one), _EXTENSION)


def _check_evidence(old: Any, new: Any) -> None:
    if new is None:
        return
    known = {one.reference for one in _evidence(old) if isinstance(one, generic.IndirectObject)}
    for one in _evidence(new):
        if isinstance(one, generic.IndirectObject) and one.reference not in known:
            _only("Data for long-term validation", resolved(one), _DATA)


def _evidence(store: Any) -> Iterator[Any]:
    """Yield the streams of a DSS and of its VRI entries."""
    if not isinstance(store, generic.DictionaryObject):
        return
    entries = entry(store, "/VRI", None)
    for held in (store, *(entries.values() if isinstance(entries, dict) else ())):
        one = resolved(held)
        if isinstance(one, generic.DictionaryObject):
            for name in _OF_DSS:
                yield from _array(entry(one, name, ()))
            if "/TS" in one:
                yield one.raw_get("/TS")
