"""The parsed template as dataclasses.

Comparisons ignore line numbers, so that a template equals itself after export and import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Stage(StrEnum):
    """The stage of a section: when its items are due, and which gate covers them."""

    PRE = "pre"
    DEPLOY = "deploy"
    POST = "post"
    WEEK = "week"  # required to close the deployment
    ONGOING = "ongoing"  # recurring routines of the target
    REFERENCE = "reference"  # contacts, notes, emergency instructions

    @property
    def label(self) -> str:
        """The name shown to people."""
        labels = {
            "pre": "Before approval",
            "deploy": "Deployment",
            "post": "After deployment",
            "week": "First week",
        }
        return labels.get(self, self.capitalize())


class Routine(StrEnum):
    """The frequency of a recurring section."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


class GateKey(StrEnum):
    """The two gates of a deployment."""

    PRE = "pre"
    POST = "post"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages whose items the gate covers."""
        return (Stage.PRE,) if self is GateKey.PRE else (Stage.DEPLOY, Stage.POST)


class ItemKind(StrEnum):
    """The kind of an item, by what completes it."""

    MANUAL = "manual"
    CHECK = "check"
    OPERATION = "operation"

    @property
    def label(self) -> str:
        """The name shown to people."""
        return {"manual": "By a person", "check": "By a check", "operation": "By an operation"}[self]


@dataclass(frozen=True)
class ParsedNote:
    """A note in Markdown: a paragraph, a plain list, a table or a quotation."""

    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ParsedCommands:
    """A block of commands or code."""

    source: str
    language: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ParsedItem:
    """An item. `text` is one line of inline Markdown without its annotation.

    `stage`, `role` and `due` are resolved: if the annotation lacks them, they come from the parent item, the
    section or the phase. A negative `due` is relative to the start of the window, any other to its end.
    """

    key: str
    text: str
    stage: Stage = Stage.DEPLOY
    line: int = field(default=0, compare=False)
    kind: ItemKind = ItemKind.MANUAL
    operation: str = ""
    check: str = ""
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    role: str = ""
    due: timedelta | None = None
    evidence: bool = False
    notes: tuple[ParsedNote | ParsedCommands, ...] = ()
    children: tuple[ParsedItem, ...] = ()

    def walk(self) -> Iterator[ParsedItem]:
        """Yield this item and all its sub-items, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class ParsedSlot:
    """A signature line: the role that signs at a gate, and how many people with this role must sign."""

    gate: GateKey
    role: str
    label: str
    quorum: int = 1
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class GateRules:
    """The rules of a gate.

    Attributes:
        creator: True if the creator of the deployment may sign.
        requires: an operation whose newest run on the target must have succeeded, or an empty string.
        within: the maximum age of that run; None without `requires`.
    """

    creator: bool = True
    requires: str = ""
    within: timedelta | None = None


NO_RULES = GateRules()

Block = ParsedItem | ParsedSlot | ParsedCommands | ParsedNote


@dataclass(frozen=True)
class ParsedSection:
    """A section of a phase. The section directly below the phase's heading has no title.

    All items of a section have its stage. If an item has another stage, the section is split; the following
    parts have the same title and are marked as `continued`.
    """

    key: str
    title: str
    stage: Stage
    due: timedelta | None = None
    role: str = ""
    routine: Routine | None = None
    gate: GateKey | None = None
    rules: GateRules = NO_RULES
    continued: bool = False
    blocks: tuple[Block, ...] = ()
    line: int = field(default=0, compare=False)

    @property
    def items(self) -> tuple[ParsedItem, ...]:
        """The items at the top level of this section; sub-items are their `children`."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedItem))

    @property
    def slots(self) -> tuple[ParsedSlot, ...]:
        """The signature lines of this section."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedSlot))

    @property
    def commands(self) -> tuple[ParsedCommands, ...]:
        """The command blocks of this section."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedCommands))

    @property
    def notes(self) -> tuple[ParsedNote, ...]:
        """The notes of this section."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedNote))

    def walk_items(self) -> Iterator[ParsedItem]:
        """Yield every item of this section, each parent before its sub-items."""
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True)
class ParsedPhase:
    """A phase of the checklist."""

    key: str
    title: str
    stage: Stage
    due: timedelta | None = None
    role: str = ""
    routine: Routine | None = None
    gate: GateKey | None = None
    rules: GateRules = NO_RULES
    sections: tuple[ParsedSection, ...] = ()
    line: int = field(default=0, compare=False)

    def walk_items(self) -> Iterator[ParsedItem]:
        """Yield every item of this phase, in the order of the document."""
        for section in self.sections:
            yield from section.walk_items()


@dataclass(frozen=True)
class ParsedGate:
    """A gate with its signature lines."""

    key: GateKey
    title: str
    slots: tuple[ParsedSlot, ...]
    rules: GateRules = NO_RULES


@dataclass(frozen=True)
class ParsedContact:
    """A contact: `role` is a known role or empty; `details` is the rest of the line."""

    label: str
    role: str
    details: str


@dataclass(frozen=True)
class ParsedSeverity:
    """A severity with its definition."""

    name: str
    meaning: str


@dataclass(frozen=True)
class ParsedTemplate:
    """A whole template."""

    title: str
    phases: tuple[ParsedPhase, ...]
    notes: tuple[ParsedNote | ParsedCommands, ...] = ()
    contacts: tuple[ParsedContact, ...] = ()
    severities: tuple[ParsedSeverity, ...] = ()

    @property
    def sections(self) -> tuple[ParsedSection, ...]:
        """All sections, in the order of the document."""
        return tuple(section for phase in self.phases for section in phase.sections)

    @property
    def slots(self) -> tuple[ParsedSlot, ...]:
        """All signature lines, in the order of the document."""
        return tuple(slot for section in self.sections for slot in section.slots)

    @property
    def gates(self) -> tuple[ParsedGate, ...]:
        """The gates that have signature lines, the first gate first."""
        found = []
        for key in GateKey:
            slots = tuple(slot for slot in self.slots if slot.gate == key)
            if slots:
                found.append(ParsedGate(key, self._gate_title(key), slots, self._gate_rules(key)))
        return tuple(found)

    @property
    def success_criteria(self) -> tuple[ParsedItem, ...]:
        """The items below headings that contain “success criteria”."""
        return tuple(
            item
            for phase in self.phases
            for section in phase.sections
            for item in section.items
            if "success criteria" in f"{phase.title}\n{section.title}".lower()
        )

    @property
    def routines(self) -> Mapping[Routine, tuple[ParsedItem, ...]]:
        """The recurring items by frequency."""
        found: dict[Routine, tuple[ParsedItem, ...]] = {}
        for section in self.sections:
            if section.routine and section.items:
                found[section.routine] = (*found.get(section.routine, ()), *section.items)
        return found

    def walk_items(self) -> Iterator[ParsedItem]:
        """Yield every item, in the order of the document, each parent before its sub-items."""
        for phase in self.phases:
            yield from phase.walk_items()

    def _gate_rules(self, key: GateKey) -> GateRules:
        """Return the rules of the gate's first heading that has any."""
        headings: list[tuple[GateKey | None, GateRules]] = []
        for phase in self.phases:
            headings += [(phase.gate, phase.rules), *((part.gate, part.rules) for part in phase.sections)]
        return next((rules for gate, rules in headings if gate == key and rules != NO_RULES), NO_RULES)

    def _gate_title(self, key: GateKey) -> str:
        for phase in self.phases:
            titles = [section.title for section in phase.sections if section.gate == key]
            titles += [phase.title] if phase.gate == key else []
            if titles:
                return titles[0]
        for phase in self.phases:
            for section in phase.sections:
                if any(slot.gate == key for slot in section.slots):
                    return section.title or phase.title
        return key.value
