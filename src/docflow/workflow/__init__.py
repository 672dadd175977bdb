"""Procedures as YAML: the language, what it may say, and `decide()`, which applies it. Pure.

Rules:
1. Only `load` reads a file; everything else takes values and returns values.
2. Nothing outside this room knows the file format or the engine beneath.
3. A loaded workflow is immutable and shared by threads.

Map: `source` (bytes → data with lines) → `definition` (shape) → `resolve` (names) → `graph`
(properties of paths) → `loader` (all of it, `CompiledWorkflow`); `facts` → `rules` → `decision`
(may it fire, what changes → `effects`); `calendar` (office time); `mermaid` and `svg` (pictures).
"""

from docflow.workflow.calendar import OfficeCalendar
from docflow.workflow.decision import available, decide
from docflow.workflow.definition import (
    FieldDefinition,
    SignDefinition,
    StateDefinition,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.durations import Duration, parse_duration
from docflow.workflow.effects import (
    AllocateNumber,
    Assign,
    Deliver,
    DropSignatures,
    Effect,
    Route,
    Sign,
    VoidNumber,
)
from docflow.workflow.facts import Available, Completion, Decision, Facts, Refusal
from docflow.workflow.loader import load, load_folder, load_source
from docflow.workflow.machine import CompiledWorkflow
from docflow.workflow.places import Anchor, SignPlace
from docflow.workflow.source import Problem, WorkflowFileError
from docflow.workflow.values import clean_fields, validate_fields

__all__ = [
    "AllocateNumber",
    "Anchor",
    "Assign",
    "Available",
    "CompiledWorkflow",
    "Completion",
    "Decision",
    "Deliver",
    "DropSignatures",
    "Duration",
    "Effect",
    "Facts",
    "FieldDefinition",
    "OfficeCalendar",
    "Problem",
    "Refusal",
    "Route",
    "Sign",
    "SignDefinition",
    "SignPlace",
    "StateDefinition",
    "TransitionDefinition",
    "VoidNumber",
    "WorkflowDefinition",
    "WorkflowFileError",
    "available",
    "clean_fields",
    "decide",
    "load",
    "load_folder",
    "load_source",
    "parse_duration",
    "validate_fields",
]
