"""What a template says, as plain values.

Line numbers do not take part in comparisons: a template that was exported and imported again is the same
template, wherever its lines ended up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Stage(StrEnum):
    """The stage of a part of the checklist: when it is done, and which gate covers it."""

    PRE = "pre"
    DEPLOY = "deploy"
    POST = "post"
    WEEK = "week"  # needed to close the deployment
    ONGOING = "ongoing"  # recurring: becomes routines of the target
    REFERENCE = "reference"  # to read: contacts, notes, emergency instructions

    @property
    def label(self) -> str:
        """The name shown to people."""
        own = {
            "pre": "Before approval",
            "deploy": "Deployment",
            "post": "After deployment",
            "week": "First week",
        }
        return own.get(self, self.capitalize())


class Routine(StrEnum):
    """How often a recurring part comes round."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


class GateKey(StrEnum):
    """The two points of a deployment that need signatures."""

    PRE = "pre"
    POST = "post"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages whose items the gate covers."""
        return (Stage.PRE,) if self is GateKey.PRE else (Stage.DEPLOY, Stage.POST)


class ItemKind(StrEnum):
    """How an item is completed."""

    MANUAL = "manual"
    CHECK = "check"
    OPERATION = "operation"

    @property
    def label(self) -> str:
        """The name shown to people."""
        return {"manual": "By a person", "check": "By a check", "operation": "By an operation"}[self]


@dataclass(frozen=True)
class ParsedNote:
    """Text to read, as Markdown: a paragraph, a plain list, a table, a quotation."""

    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ParsedCommands:
    """A block of commands that somebody may want to copy."""

    source: str
    language: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ParsedItem:
    """One promise. `text` is one line of inline Markdown without its annotation.

    `stage`, `role` and `due` are resolved: what the item does not say itself comes from the item, section or
    phase around it. `due` counts from the start of the window where negative, from its end otherwise.
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
        """This item, then everything below it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class ParsedSlot:
    """A signature line: the role that signs at a gate, and how many people of it have to."""

    gate: GateKey
    role: str
    label: str
    quorum: int = 1
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class GateRules:
    """What a gate asks for besides its signatures.

    `creator`: whether who created the deployment may sign. `requires`: an operation whose newest run on the
    target has to have succeeded, at most `within` ago; both are set, or neither.
    """

    creator: bool = True
    requires: str = ""
    within: timedelta | None = None


NO_RULES = GateRules()

Block = ParsedItem | ParsedSlot | ParsedCommands | ParsedNote


@dataclass(frozen=True)
class ParsedSection:
    """A part of a phase. The one that stands directly under the phase's heading has no title.

    All its items have its stage: where an item states another one, the section is divided, and the further
    parts are marked as `continued`; they have the same title.
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
        """The blocks of commands of this section."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedCommands))

    @property
    def notes(self) -> tuple[ParsedNote, ...]:
        """The text of this section that is neither item nor command."""
        return tuple(block for block in self.blocks if isinstance(block, ParsedNote))

    def walk_items(self) -> Iterator[ParsedItem]:
        """Every item of this section, sub-items after their parent."""
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True)
class ParsedPhase:
    """A chapter of the checklist."""

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
        """Every item of this phase, in the order of the document."""
        for section in self.sections:
            yield from section.walk_items()


@dataclass(frozen=True)
class ParsedGate:
    """A point that needs signatures, and the lines to sign on."""

    key: GateKey
    title: str
    slots: tuple[ParsedSlot, ...]
    rules: GateRules = NO_RULES


@dataclass(frozen=True)
class ParsedContact:
    """Somebody to call: `role` is one of the known roles, or empty; `details` is the rest of the line."""

    label: str
    role: str
    details: str


@dataclass(frozen=True)
class ParsedSeverity:
    """What the document means by a severity."""

    name: str
    meaning: str


@dataclass(frozen=True)
class ParsedTemplate:
    """A whole checklist."""

    title: str
    phases: tuple[ParsedPhase, ...]
    notes: tuple[ParsedNote | ParsedCommands, ...] = ()
    contacts: tuple[ParsedContact, ...] = ()
    severities: tuple[ParsedSeverity, ...] = ()

    @property
    def sections(self) -> tuple[ParsedSection, ...]:
        """Every section, in the order of the document."""
        return tuple(section for phase in self.phases for section in phase.sections)

    @property
    def slots(self) -> tuple[ParsedSlot, ...]:
        """Every signature line, in the order of the document."""
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
        """The items under a heading that speaks of success criteria."""
        return tuple(
            item
            for phase in self.phases
            for section in phase.sections
            for item in section.items
            if "success criteria" in f"{phase.title}\n{section.title}".lower()
        )

    @property
    def routines(self) -> Mapping[Routine, tuple[ParsedItem, ...]]:
        """The recurring items by how often they come round."""
        found: dict[Routine, tuple[ParsedItem, ...]] = {}
        for section in self.sections:
            if section.routine and section.items:
                found[section.routine] = (*found.get(section.routine, ()), *section.items)
        return found

    def walk_items(self) -> Iterator[ParsedItem]:
        """Every item, sub-items after their parent, in the order of the document."""
        for phase in self.phases:
            yield from phase.walk_items()

    def _gate_rules(self, key: GateKey) -> GateRules:
        """What the first heading of the gate that states any rules says."""
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
