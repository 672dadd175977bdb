"""Pictures of workflows: well-formed, complete, readable, and without anything from outside."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from docflow.kernel.resources import bundled
from docflow.workflow import WorkflowDefinition, load, load_source
from docflow.workflow.layout import Layout, Part, lay_out, rank_states, spread
from docflow.workflow.mermaid import mermaid
from docflow.workflow.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
INCOMING = load(bundled("workflows") / "incoming.yaml").definition
OUTGOING = load(bundled("workflows") / "outgoing.yaml").definition
TANGLE = load_source(
    b"""\
workflow: tangle
version: 1
title: {en: "A <tangle> & more"}
direction: incoming
states:
  end: {initial: true, title: {en: 'Start: "now"; #1 <b>'}}
  note: {}
  state: {}
  other: {editable: true}
  last: {final: true}
transitions:
  a: {from: end, to: note, by: clerk}
  b: {from: [end, note, state, other], to: last, by: clerk, title: {en: "x --> y: z"}}
  c: {from: [other, state], to: end, by: [clerk, leader], separate_from: [author, a]}
  d: {from: note, to: state, by: clerk}
  e: {from: [state, note], to: other, by: clerk}
  f: {from: [other, end], to: other, by: clerk}
""",
    "tangle.yaml",
).definition
ALL = pytest.mark.parametrize(
    "definition", [INCOMING, OUTGOING, TANGLE], ids=["incoming", "outgoing", "tangle"]
)


def texts(definition: WorkflowDefinition, language: str) -> list[str]:
    root = ElementTree.fromstring(svg(definition, language))  # noqa: S314 - our own picture
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def laid_out(definition: WorkflowDefinition) -> Layout:
    return lay_out(
        definition,
        {name: (100.0 + 7 * i, 40.0) for i, name in enumerate(definition.states)},
        {name: (140.0 - 9 * i, 60.0) for i, name in enumerate(definition.transitions)},
    )


class TestSvg:
    @ALL
    @pytest.mark.parametrize("language", ["en", "vi", "fr"])
    def test_it_says_every_state_and_every_transition(
        self, definition: WorkflowDefinition, language: str
    ) -> None:
        said = " ".join(texts(definition, language))
        for name in definition.states:
            for piece in definition.state_title(name, language).split():
                assert piece in said
        for name in definition.transitions:
            for piece in definition.transition_title(name, language).split():
                assert piece in said

    @ALL
    def test_nothing_comes_from_outside(self, definition: WorkflowDefinition) -> None:
        drawn = svg(definition).replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|url\(|<script|<image|href|@import|@font-face", drawn)

    @ALL
    def test_everything_lies_within_the_picture(self, definition: WorkflowDefinition) -> None:
        root = ElementTree.fromstring(svg(definition))  # noqa: S314 - our own picture
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        group = next(
            g for g in root.iter(f"{SVG}g") if "translate" in g.attrib.get("transform", "")
        )
        match = re.search(r"translate\(([\d.]+) ([\d.]+)\)", group.attrib["transform"])
        assert match is not None
        dx, dy = float(match[1]), float(match[2])
        for box in group.iter(f"{SVG}rect"):
            x, y = float(box.attrib["x"]) + dx, float(box.attrib["y"]) + dy
            assert x >= 0
            assert y >= 0
            assert x + float(box.attrib["width"]) <= width
            assert y + float(box.attrib["height"]) <= height

    def test_titles_cannot_break_out_of_their_text(self) -> None:
        assert 'Start: "now"; #1 <b>' in texts(TANGLE, "en")

    def test_the_same_workflow_gives_the_same_picture(self) -> None:
        assert svg(OUTGOING) == svg(OUTGOING)

    def test_who_may_fire_and_what_happens_is_said(self) -> None:
        said = texts(OUTGOING, "en")
        assert "Unit head, Leader (not: author)" in said
        assert "organisation's seal · delivers" in said
        assert "gives the number (outgoing)" in said
        assert "chữ ký (dấu) cơ quan · phát hành" in texts(OUTGOING, "vi")


class TestLayout:
    @ALL
    def test_nothing_overlaps(self, definition: WorkflowDefinition) -> None:
        layout = laid_out(definition)
        for row in layout.rows:
            for left, right in combinations(row, 2):
                assert abs(left.x - right.x) >= (left.width + right.width) / 2

    @ALL
    def test_lines_join_neighbouring_rows_only(self, definition: WorkflowDefinition) -> None:
        for segment in laid_out(definition).segments:
            assert abs(segment.start.row - segment.end.row) == 1

    @ALL
    def test_from_each_state_left_a_line_leads_over_the_label_to_the_target(
        self, definition: WorkflowDefinition
    ) -> None:
        layout = laid_out(definition)
        for trigger, transition in definition.transitions.items():
            ways = {id(s.start): s for s in layout.segments if s.trigger == trigger}
            onward = {
                id(s.start): s.end
                for s in layout.segments
                if s.trigger == trigger and s.start.kind != "state"
            }
            for source in transition.from_:
                firsts = [
                    s.end
                    for s in layout.segments
                    if s.trigger == trigger and s.start is layout.states[source]
                ]
                assert len(firsts) == 1
                part: Part = firsts[0]
                passed = [part.kind]
                while part.kind != "state":
                    part = onward[id(part)]
                    passed.append(part.kind)
                assert part is layout.states[transition.to]
                assert passed.count("label") == 1
            assert len(ways) >= 2

    def test_the_long_way_through_is_one_straight_line(self) -> None:
        layout = laid_out(OUTGOING)
        way = ["draft", "review", "approved", "signed", "released", "archived"]
        xs = [layout.states[name].x for name in way]
        assert all(abs(a - b) < 1 for a, b in pairwise(xs))
        assert [layout.states[name].row for name in way] == [0, 2, 4, 6, 8, 10]

    def test_what_leads_back_does_not_count_for_the_rows(self) -> None:
        assert rank_states(INCOMING) == {
            "received": 0,
            "registered": 1,
            "refused": 1,
            "routed": 2,
            "assigned": 3,
            "working": 4,
            "closed": 5,
        }

    def test_spreading_keeps_order_and_gaps_and_moves_as_little_as_it_must(self) -> None:
        assert spread([0, 10, 20], [1, 1, 1], [5, 5]) == [0, 10, 20]
        assert spread([0, 0], [1, 1], [10]) == [-5, 5]
        assert spread([0, 0], [3, 1], [8]) == [-2, 6]
        assert spread([], [], []) == []


class TestMermaid:
    def test_the_whole_of_it(self) -> None:
        definition = load_source(
            b"""\
workflow: memo
version: 1
title: {en: Memo}
direction: incoming
states: {a: {initial: true, due: 1d}, b: {final: true, title: {en: Done, vi: Xong}}}
transitions: {go: {from: a, to: b, by: [clerk, leader], number: memos}}
""",
            "memo.yaml",
        ).definition
        assert mermaid(definition).splitlines() == [
            "stateDiagram-v2",
            "    direction TB",
            '    state "A / within 1 day / files may change" as s_a',
            '    state "Done" as s_b',
            "    [*] --> s_a",
            "    s_a --> s_b : Go (Clerk, Leader), gives the number (memos)",
            "    s_b --> [*]",
        ]
        assert '    state "Xong" as s_b' in mermaid(definition, "vi").splitlines()

    def test_titles_are_never_read_as_syntax(self) -> None:
        lines = mermaid(TANGLE).splitlines()
        assert lines[2].startswith(
            '    state "Start#58; #34;now#34;#59; #35;1 #60;b#62; / files may change" as s_end'
        )
        for line in lines[2:]:
            assert line.count("-->") <= 1
            assert re.fullmatch(
                r'    (state "[^"]*" as s_\w+|\[\*\] --> s_\w+|s_\w+ --> (\[\*\]|s_\w+ : [^:]*))',
                line,
            )
