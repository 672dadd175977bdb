"""A workflow as an SVG picture that a head of department can read. Pure text, no outside fonts.

Rules:
1. States are boxes, transitions are labels on lines: title, who may fire, what else happens.
2. Colours mean something and the foot of the picture says what; each meaning has a line style too.
3. Text widths are estimated generously, because the viewer's font is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from docflow.workflow import wording
from docflow.workflow.definition import WorkflowDefinition
from docflow.workflow.layout import Layout, Part, Segment, goes_back, lay_out, rank_states, spread

_MARGIN: Final = 32.0
_FONT: Final = "'Noto Sans', 'DejaVu Sans', Verdana, Arial, sans-serif"
_WRAP: Final = 44  # characters of a label's line
_PORT_GAP: Final = 16.0
_CORNER: Final = 10.0
_HEAD: Final = 8.0
_FIRM: Final = 1e9
_THIN: Final = " ilj.,:;'·|()!Iíìỉĩị"
_NARROW: Final = 0.34  # of the font's size
_BROAD: Final = 0.95

_LINE: Final[Mapping[str, tuple[str, str]]] = {
    "forward": ("#1f3a5f", ""),
    "back": ("#b45309", ' stroke-dasharray="6 4"'),
    "away": ("#9f1239", ' stroke-dasharray="2 4"'),
}
"""How a line is drawn: its colour and the attribute for its dashes, by what it means."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of text in a box: the text, its size in pixels and its look."""

    text: str
    size: float
    look: str  # a CSS class


def svg(definition: WorkflowDefinition, language: str = "en") -> str:
    """Return the workflow as an SVG document.

    Args:
        definition: the workflow.
        language: of the titles and words; English where there are none in it.
    """
    boxes = {name: _state_lines(definition, name, language) for name in definition.states}
    labels = {name: _label_lines(definition, name, language) for name in definition.transitions}
    layout = lay_out(
        definition,
        {name: _size(lines, 22, 16) for name, lines in boxes.items()},
        {name: _size(lines, 12, 8) for name, lines in labels.items()},
    )
    meanings = _meanings(definition, layout)
    legend, legend_width = _legend(language)
    heading = 64.0
    width = max(layout.width, legend_width, 420.0) + 2 * _MARGIN
    height = layout.height + heading + 2 * _MARGIN + 44
    shift = (width - layout.width) / 2
    title = definition.title.get(language) or definition.title["en"]
    subtitle = f"{definition.workflow} · {wording.word('version', language)}".format(
        definition.version
    )
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}">',
        f"<title>{escape(title)}</title>",
        _style(),
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text x="{_MARGIN:.0f}" y="{_MARGIN + 14:.0f}" class="heading">{escape(title)}</text>',
        f'<text x="{_MARGIN:.0f}" y="{_MARGIN + 34:.0f}" class="note">{escape(subtitle)}</text>',
        f'<g transform="translate({shift:.1f} {heading + _MARGIN:.1f})">',
        *_lines(layout, meanings),
        *(_box(definition, name, part, boxes[name]) for name, part in layout.states.items()),
        *(_label(part, labels[name], meanings[name]) for name, part in layout.labels.items()),
        "</g>",
        f'<g transform="translate({_MARGIN:.0f} {height - _MARGIN:.0f})">{legend}</g>',
        "</svg>",
    ]
    return "\n".join(pieces) + "\n"


def _meanings(definition: WorkflowDefinition, layout: Layout) -> dict[str, str]:
    """Return what each transition's line means: on, back, or off the way for good."""
    ranks = rank_states(definition)
    found = {}
    for trigger, transition in definition.transitions.items():
        ends = definition.states[transition.to].final and transition.to not in layout.spine_states
        back = goes_back(definition, trigger, ranks)
        found[trigger] = "back" if back else "away" if ends else "forward"
    return found


def _style() -> str:
    return (
        f"<style>text{{font-family:{_FONT};fill:#0f172a}}"
        ".heading{font-size:20px;font-weight:700}.title{font-size:14px;font-weight:700}"
        ".name{font-size:12px;font-weight:600}.who{font-size:11px;fill:#334155}"
        ".note{font-size:11px;fill:#475569}.what{font-size:11px;fill:#1d4ed8;font-weight:600}"
        "</style>"
    )


def _state_lines(definition: WorkflowDefinition, name: str, language: str) -> list[_Line]:
    state = definition.states[name]
    notes = " · ".join(wording.state_notes(state, language))
    lines = [_Line(text, 14, "title") for text in _wrap(definition.state_title(name, language), 28)]
    return lines + [_Line(text, 11, "note") for text in _wrap(notes, _WRAP)]


def _label_lines(definition: WorkflowDefinition, trigger: str, language: str) -> list[_Line]:
    transition = definition.transitions[trigger]
    title = definition.transition_title(trigger, language)
    lines = [_Line(text, 12, "name") for text in _wrap(title, 30)]
    who = wording.who(definition, transition, language)
    lines += [_Line(text, 11, "who") for text in _wrap(who, _WRAP)]
    for note in (wording.conditions(transition, language), wording.inputs(transition, language)):
        lines += [_Line(text, 11, "note") for text in _wrap(note, _WRAP)]
    what = " · ".join(wording.what(transition, language))
    return lines + [_Line(text, 11, "what") for text in _wrap(what, _WRAP)]


def _wrap(text: str, most: int) -> list[str]:
    lines: list[str] = []
    for piece in text.split():
        if lines and len(lines[-1]) + 1 + len(piece) <= most:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _text_width(line: _Line) -> float:
    """Estimate a line's width in pixels, as wide as a broad sans-serif face would make it."""
    ems = sum(
        _NARROW if char in _THIN else _BROAD if char in "mwMW" else 0.74 if char.isupper() else 0.6
        for char in line.text
    )
    return ems * line.size * (1.06 if line.look in ("title", "name", "what") else 1.0)


def _size(lines: list[_Line], pad_x: float, pad_y: float) -> tuple[float, float]:
    width = max((_text_width(line) for line in lines), default=0.0)
    return width + pad_x, sum(line.size + 4 for line in lines) + pad_y


def _texts(part: Part, lines: list[_Line]) -> str:
    y = part.y - sum(line.size + 4 for line in lines) / 2
    shown = []
    for line in lines:
        y += line.size + 4
        shown.append(
            f'<text x="{part.x:.1f}" y="{y - 5:.1f}" text-anchor="middle" class="{line.look}">'
            f"{escape(line.text)}</text>"
        )
    return "".join(shown)


def _box(definition: WorkflowDefinition, name: str, part: Part, lines: list[_Line]) -> str:
    state = definition.states[name]
    fill, stroke, thick = "#f1f5f9", "#475569", 1.4
    if state.initial:
        fill, stroke, thick = "#e0ecff", "#1d4ed8", 2.4
    elif state.final:
        fill, stroke = "#e7e5e4", "#292524"
    elif state.is_editable:
        fill = "#fefce8"
    drawn = _rectangle(part, 0, fill, stroke, thick)
    if state.final:  # a double edge, as state charts have it
        drawn += _rectangle(part, 3.5, "none", stroke, 1)
    return f'<g id="state-{name}">{drawn}{_texts(part, lines)}</g>'


def _rectangle(part: Part, inset: float, fill: str, stroke: str, thick: float) -> str:
    return (
        f'<rect x="{part.x - part.width / 2 + inset:.1f}" '
        f'y="{part.y - part.height / 2 + inset:.1f}" width="{part.width - 2 * inset:.1f}" '
        f'height="{part.height - 2 * inset:.1f}" rx="{_CORNER - inset:.1f}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{thick}"/>'
    )


def _label(part: Part, lines: list[_Line], meaning: str) -> str:
    colour, dashes = _LINE[meaning]
    return (
        f'<g id="transition-{part.name}">'
        f'<rect x="{part.x - part.width / 2:.1f}" y="{part.y - part.height / 2:.1f}" '
        f'width="{part.width:.1f}" height="{part.height:.1f}" rx="4" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="0.8"{dashes}/>'
        f"{_texts(part, lines)}</g>"
    )


def _lines(layout: Layout, meanings: Mapping[str, str]) -> list[str]:
    ports = _ports(layout)
    return [_line(layout, segment, ports, meanings[segment.trigger]) for segment in layout.segments]


_Ports = dict[tuple[int, int], float]


def _ports(layout: Layout) -> _Ports:
    """Return where each segment meets each part: spread along the edge, nearest to its way."""
    sides: dict[tuple[int, bool], list[tuple[Part, Segment, Part]]] = {}
    for segment in layout.segments:
        for part, other in ((segment.start, segment.end), (segment.end, segment.start)):
            below = other.row > part.row
            sides.setdefault((id(part), below), []).append((part, segment, other))
    ports: _Ports = {}
    for meeting in sides.values():
        part = meeting[0][0]
        if part.kind == "bend":
            ports.update({(id(segment), id(part)): part.x for _, segment, _ in meeting})
            continue
        meeting.sort(key=lambda item: (item[2].x, item[1].arrow))
        on_spine = [segment.trigger in layout.spine for _, segment, _ in meeting]
        wanted = [other.x for _, _, other in meeting]
        for (_, segment, _), x in zip(meeting, _meet(part, wanted, on_spine), strict=True):
            ports[id(segment), id(part)] = x
    return ports


def _meet(part: Part, wanted: list[float], on_spine: list[bool]) -> list[float]:
    """Return where lines meet an edge: apart, within the edge, the spine's in the middle."""
    last = len(wanted) - 1
    reach = max(0.0, part.width / 2 - _CORNER - 2)
    at = on_spine.index(True) if any(on_spine) else last / 2
    gap = min(_PORT_GAP, reach / max(at, last - at, 0.5))
    aims = [min(max(x, part.x - reach), part.x + reach) for x in wanted]
    weights = [_FIRM if firm else 1.0 for firm in on_spine]
    places = spread(aims, weights, [gap] * last)
    for i in range(last, -1, -1):
        places[i] = min(places[i], part.x + reach - (last - i) * gap)
    return [max(x, part.x - reach + i * gap) for i, x in enumerate(places)]


def _line(layout: Layout, segment: Segment, ports: _Ports, meaning: str) -> str:
    colour, dashes = _LINE[meaning]
    start, end = segment.start, segment.end
    down = end.row > start.row
    x1, x2 = ports[id(segment), id(start)], ports[id(segment), id(end)]
    y1, edge1 = _edges(layout, start, lower=down, ends=False)
    y2, edge2 = _edges(layout, end, lower=not down, ends=True)
    tip = y2 + (-_HEAD if down else _HEAD) * segment.arrow
    middle = (edge1 + edge2) / 2
    way = f"M{x1:.1f} {y1:.1f}V{edge1:.1f}"
    if abs(x1 - x2) > 0.5:  # noqa: PLR2004 - pixels; straight enough
        way += f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {edge2:.1f}"
    way += f"V{tip:.1f}"
    drawn = f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'
    if segment.arrow:
        drawn += (
            f'<path d="M{x2:.1f} {y2:.1f}L{x2 - 4.5:.1f} {tip:.1f}H{x2 + 4.5:.1f}Z" '
            f'fill="{colour}"/>'
        )
    return drawn


def _edges(layout: Layout, part: Part, *, lower: bool, ends: bool) -> tuple[float, float]:
    """Return where a line leaves a part, and where it leaves the part's row."""
    row_edge = layout.bottom(part.row) if lower else layout.top(part.row)
    if part.kind == "bend":  # the line that goes on is drawn through the whole row
        far_edge = layout.top(part.row) if lower else layout.bottom(part.row)
        return (row_edge if ends else far_edge), row_edge
    return part.y + (part.height / 2 if lower else -part.height / 2), row_edge


def _legend(language: str) -> tuple[str, float]:
    drawn, x = [], 0.0
    for meaning, (colour, dashes) in _LINE.items():
        text = wording.word(meaning, language)
        drawn.append(
            f'<path d="M{x:.0f} -4H{x + 30:.0f}" stroke="{colour}" stroke-width="1.8"{dashes}/>'
            f'<text x="{x + 36:.0f}" y="0" class="note">{text}</text>'
        )
        x += 60 + _text_width(_Line(text, 11, "note"))
    for key, fill, stroke in (("initial", "#e0ecff", "#1d4ed8"), ("final", "#e7e5e4", "#292524")):
        text = wording.word(key, language)
        drawn.append(
            f'<rect x="{x:.0f}" y="-11" width="22" height="14" rx="4" fill="{fill}" '
            f'stroke="{stroke}" stroke-width="1.6"/>'
            f'<text x="{x + 28:.0f}" y="0" class="note">{text}</text>'
        )
        x += 52 + _text_width(_Line(text, 11, "note"))
    return "".join(drawn), x
