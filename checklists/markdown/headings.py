"""What a heading says about everything below it."""

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

# Words in the headings of documents that carry no annotations. An annotation always wins.
_PRE = {"pre", "before", "prerequisites", "preparation", "planning", "preflight"}
_POST = {"post", "after", "success"}
_RECURRING = {"ongoing", "recurring", *Routine}
_TO_READ = {"rollback", "contact", "contacts", "notes", "appendix", "references", "glossary"}


@dataclass(frozen=True)
class Scope:
    """What holds for the items below a heading."""

    stage: Stage = Stage.DEPLOY
    due: timedelta | None = None
    role: str = ""
    routine: Routine | None = None
    gate: GateKey | None = None
    rules: GateRules = NO_RULES
    stated: bool = False  # the stage was written down rather than guessed from the words


def scope_of(
    title: str,
    notes: Mapping[str, Value],
    parent: Scope | None,
    *,
    has_items: bool,
    line: int,
    vocabulary: Vocabulary,
    problems: Collector,
) -> Scope:
    """Work out what a heading's annotations, its parent and its words say, in this order."""
    for key in notes.keys() - set(HEADING_KEYS):
        if key in ITEM_KEYS:
            problems.add(line, f"“{key}” belongs to an item; move it to the end of the item's line.")
        else:
            problems.add(line, unknown_key(key, HEADING_KEYS, "headings"))
    stage = read_choice(Stage, notes, "stage", line, problems)
    routine = read_choice(Routine, notes, "routine", line, problems)
    around = parent or Scope()
    if routine and not stage:
        stage = Stage.ONGOING
    resolved = stage or (around.stage if around.stated else _guess(title, parent, has_items=has_items))
    if routine and resolved is not Stage.ONGOING:
        problems.add(line, f"A routine recurs: its stage is “ongoing”, not “{resolved}”. Remove one.")
    if resolved is Stage.ONGOING:
        routine = routine or _routine_in(title) or around.routine
        if "due" in notes:
            problems.add(line, "A recurring part has no due time in the window; remove `due`.")
    return Scope(
        stage=resolved,
        due=None if resolved is Stage.ONGOING else read_due(notes, line, problems, around.due),
        role=read_role(notes, line, vocabulary, problems) or around.role,
        routine=routine if resolved is Stage.ONGOING else None,
        gate=read_choice(GateKey, notes, "gate", line, problems),
        rules=read_rules(notes, line, vocabulary, problems),
        stated=bool(stage) or around.stated,
    )


def read_due(
    notes: Mapping[str, Value], line: int, problems: Collector, inherited: timedelta | None
) -> timedelta | None:
    """The due time of an annotation, relative to the window, or the inherited one."""
    if "due" not in notes:
        return inherited
    try:
        return parse_due(str(notes["due"]))
    except ValueError as error:
        problems.add(line, str(error))
        return None


def read_role(notes: Mapping[str, Value], line: int, vocabulary: Vocabulary, problems: Collector) -> str:
    """The role of an annotation, or nothing."""
    role = str(notes.get("role", ""))
    if role and role not in vocabulary.roles:
        problems.add(line, f"There is no role “{role}”; {suggestion(role, vocabulary.roles)}")
        return ""
    return role


def read_choice(
    kind: type[Choice], notes: Mapping[str, Value], key: str, line: int, problems: Collector
) -> Choice | None:
    """One of a few words, or nothing."""
    if key not in notes:
        return None
    try:
        return kind(str(notes[key]))
    except ValueError:
        known = [choice.value for choice in kind]
        problems.add(line, f"There is no {key} “{notes[key]}”; {suggestion(str(notes[key]), known)}")
        return None


def _guess(title: str, parent: Scope | None, *, has_items: bool) -> Stage:
    words = set(slug(title).split("-"))
    if not has_items and words & _TO_READ:
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
