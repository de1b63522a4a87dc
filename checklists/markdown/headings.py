"""Derive the scope of a heading: stage, due time, role and gate of everything below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from checklists.markdown.annotation import HEADING_KEYS, ITEM_KEYS, Value, suggestion, unknown_key
from checklists.markdown.due_times import parse_due
from checklists.markdown.errors import Collector
from checklists.markdown.gates import read_rules
from checklists.markdown.model import NO_RULES, GateKey, GateRules, Routine, Stage
from checklists.markdown.slugs import slug
from checklists.markdown.vocabulary import Vocabulary

Choice = TypeVar("Choice", bound=StrEnum)

# Words in headings that indicate a stage if there is no annotation.
_PRE = {"pre", "before", "prerequisites", "preparation", "planning", "preflight"}
_POST = {"post", "after", "success"}
_RECURRING = {"ongoing", "recurring", *Routine}
_REFERENCE = {"rollback", "contact", "contacts", "values", "appendix", "references", "glossary"}


@dataclass(frozen=True)
class Scope:
    """The properties that the items below a heading inherit."""

    stage: Stage = Stage.DEPLOY
    due: timedelta | None = None
    role: str = ""
    routine: Routine | None = None
    gate: GateKey | None = None
    rules: GateRules = NO_RULES
    explicit: bool = False  # the stage comes from an annotation, not from words in the heading


def scope_of(
    title: str,
    values: Mapping[str, Value],
    parent: Scope | None,
    *,
    has_items: bool,
    line: int,
    vocabulary: Vocabulary,
    problems: Collector,
) -> Scope:
    """Return the scope of a heading, from its annotations, its parent and its words, in this order."""
    for key in values.keys() - set(HEADING_KEYS):
        if key in ITEM_KEYS:
            problems.add(line, f"“{key}” is for items; move it to the end of an item's line.")
        else:
            problems.add(line, unknown_key(key, HEADING_KEYS, "headings"))
    stage = read_choice(Stage, values, "stage", line, problems)
    routine = read_choice(Routine, values, "routine", line, problems)
    outer = parent or Scope()
    if routine and not stage:
        stage = Stage.ONGOING
    resolved = stage or (outer.stage if outer.explicit else _guess(title, parent, has_items=has_items))
    if routine and resolved is not Stage.ONGOING:
        problems.add(line, f"A routine can't have the stage “{resolved}”; remove `routine` or `stage`.")
    if resolved is Stage.ONGOING:
        routine = routine or _routine_in(title) or outer.routine
        if "due" in values:
            problems.add(line, "A recurring section can't have a due time; remove `due`.")
    return Scope(
        stage=resolved,
        due=None if resolved is Stage.ONGOING else read_due(values, line, problems, outer.due),
        role=read_role(values, line, vocabulary, problems) or outer.role,
        routine=routine if resolved is Stage.ONGOING else None,
        gate=read_choice(GateKey, values, "gate", line, problems),
        rules=read_rules(values, line, vocabulary, problems),
        explicit=bool(stage) or outer.explicit,
    )


def read_due(
    values: Mapping[str, Value], line: int, problems: Collector, inherited: timedelta | None
) -> timedelta | None:
    """Return the due time of an annotation, relative to the window, or the inherited one."""
    if "due" not in values:
        return inherited
    try:
        return parse_due(str(values["due"]))
    except ValueError as error:
        problems.add(line, str(error))
        return None


def read_role(values: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector) -> str:
    """Return the role of an annotation, or an empty string."""
    role = str(values.get("role", ""))
    if role and role not in vocabulary.roles:
        problems.add(line, f"There is no role “{role}”; {suggestion(role, vocabulary.roles)}")
        return ""
    return role


def read_choice(
    kind: type[Choice], values: Mapping[str, Value], key: str, line: int, problems: Collector
) -> Choice | None:
    """Return the value of an annotation as a member of an enumeration, or None."""
    if key not in values:
        return None
    try:
        return kind(str(values[key]))
    except ValueError:
        known = [choice.value for choice in kind]
        problems.add(line, f"There is no {key} “{values[key]}”; {suggestion(str(values[key]), known)}")
        return None


def _guess(title: str, parent: Scope | None, *, has_items: bool) -> Stage:
    words = set(slug(title).split("-"))
    if not has_items and words & _REFERENCE:
        return Stage.REFERENCE
    if words & _PRE:
        return Stage.PRE
    if words & _POST:
        return Stage.WEEK if "week" in words else Stage.POST
    if words & _RECURRING and (parent is None or parent.stage is Stage.ONGOING):
        return Stage.ONGOING
    return parent.stage if parent else Stage.DEPLOY


def _routine_in(title: str) -> Routine | None:
    words = slug(title).split("-")
    return next((routine for routine in Routine if routine in words), None)
