"""A workflow as Mermaid text (stateDiagram-v2), for pages that render it themselves.

Titles are written as Mermaid entities wherever a character could be read as syntax; the ids of
states are prefixed, because `end`, `note` and `state` are words of Mermaid.
"""

import re

from docflow.workflow import wording
from docflow.workflow.definition import WorkflowDefinition

_SYNTAX = re.compile(r"[\"#;:<>{}\[\]\\|`]|\s+")


def mermaid(definition: WorkflowDefinition, language: str = "en") -> str:
    """Return the workflow as a Mermaid state diagram, one line break at the end."""
    lines = ["stateDiagram-v2", "    direction TB"]
    for name, state in definition.states.items():
        shown = " / ".join(
            [definition.state_title(name, language), *wording.state_notes(state, language)]
        )
        lines.append(f'    state "{_text(shown)}" as s_{name}')
    lines.append(f"    [*] --> s_{definition.initial}")
    for trigger, transition in definition.transitions.items():
        who = wording.who(definition, transition, language)
        what = "".join(f", {told}" for told in wording.what(transition, language))
        label = _text(f"{definition.transition_title(trigger, language)} ({who}){what}")
        lines.extend(
            f"    s_{source} --> s_{transition.to} : {label}" for source in transition.from_
        )
    lines.extend(
        f"    s_{name} --> [*]" for name, state in definition.states.items() if state.final
    )
    return "\n".join(lines) + "\n"


def _text(written: str) -> str:
    """Return text that Mermaid reads as text only."""
    return _SYNTAX.sub(lambda m: " " if m[0].isspace() else f"#{ord(m[0])};", written.strip())
