"""Checklists: the sections and items of a deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Value

from checklists.markdown import (
    ParsedCommands,
    ParsedItem,
    ParsedNote,
    ParsedSection,
    ParsedTemplate,
    Stage,
    due_at,
)
from checklists.models.item import Item
from checklists.models.item_state import ItemState
from checklists.permissions import DeploymentPermissions
from checklists.validators import clean_note
from checklists.window import Window
from deployctl.audit import Actor
from deployctl.errors import Refusal

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment

NO_TIME = timedelta()


class Checklist(models.Model):
    """The checklist of one deployment."""

    deployment = models.OneToOneField(
        "checklists.Deployment", on_delete=models.PROTECT, related_name="checklist"
    )

    def __str__(self) -> str:
        return f"Checklist of {self.deployment}"

    @classmethod
    def from_template(cls, deployment: Deployment, parsed: ParsedTemplate) -> Checklist:
        """Create the sections and items of a template, due relative to the deployment's window."""
        checklist = cls.objects.create(deployment=deployment)
        number = 0
        for phase_number, phase in enumerate(parsed.phases):
            for parsed_section in phase.sections:
                # Signature lines belong to the gates; a section with nothing else is skipped.
                if not (parsed_section.items or parsed_section.notes or parsed_section.commands):
                    continue
                section = Section.objects.create(
                    checklist=checklist,
                    position=number,
                    phase=phase.title,
                    phase_position=phase_number,
                    title=parsed_section.title,
                    stage=parsed_section.stage.value,
                    routine=parsed_section.routine or "",
                    blocks=[
                        _plain_block(block)
                        for block in parsed_section.blocks
                        if isinstance(block, (ParsedNote, ParsedCommands))
                    ],
                )
                section.write_items(parsed_section, deployment.window)
                number += 1
        return checklist

    def reschedule(self, window: Window) -> None:
        """Recompute all due times relative to the new window."""
        items = Item.objects.filter(section__checklist=self)
        items.filter(due_offset__lt=NO_TIME).update(due_at=Value(window.start) + F("due_offset"))
        items.filter(due_offset__gte=NO_TIME).update(due_at=Value(window.end) + F("due_offset"))


class Section(models.Model):
    """A group of items under one heading within a phase."""

    checklist = models.ForeignKey(Checklist, on_delete=models.PROTECT, related_name="sections")
    position = models.PositiveIntegerField()
    phase = models.CharField(max_length=300)
    phase_position = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    stage = models.CharField(max_length=20, choices=[(stage.value, stage.label) for stage in Stage])
    routine = models.CharField(max_length=20, blank=True)
    # Text and commands between the items: [{"kind": "note" | "commands", "text": …, "language": …}].
    blocks = models.JSONField(default=list)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["checklist", "position"], name="section_positions_unique")
        ]

    def __str__(self) -> str:
        return self.title or self.phase

    def write_items(self, parsed: ParsedSection, window: Window) -> None:
        """Create the items of a template's section, each parent before its sub-items."""
        position = 0

        def write(parsed_items: tuple[ParsedItem, ...], parent: Item | None) -> None:
            nonlocal position
            for parsed_item in parsed_items:
                item = self._item(parsed_item, position, parent, window)
                item.save(force_insert=True)
                position += 1
                write(parsed_item.children, item)

        write(parsed.items, None)

    def complete_open(self, by: Actor, note: str) -> list[Item]:
        """Complete every open manual item of the section with one shared note.

        Skip items with a check or an operation, those that require evidence, those with sub-items, and those
        that `by` may not complete.

        Returns:
            The completed items.

        Raises:
            InvalidInput: the note is too long.
            NotAllowed: the open items are for other people.
            Refusal: there is nothing to complete.
        """
        note = clean_note(note)
        deployment = self.checklist.deployment
        with deployment.locked() as current:
            permissions = DeploymentPermissions.of(by, current)
            candidates = list(self.items.for_bulk())
            completed = [item for item in candidates if permissions.may_complete(item)]
            if not completed:
                if candidates:
                    permissions.require_complete(candidates[0])
                raise Refusal(
                    f"“{self}” has no open items that can be completed together. Nothing was changed; "
                    "complete the open items one by one."
                )
            for item in completed:
                item.complete(by, note)
        return completed

    def _item(self, parsed_item: ParsedItem, position: int, parent: Item | None, window: Window) -> Item:
        return Item(
            section=self,
            parent=parent,
            position=position,
            key=parsed_item.key,
            text=parsed_item.text,
            kind=parsed_item.kind.value,
            operation=parsed_item.operation,
            check_name=parsed_item.check,
            params=dict(parsed_item.params),
            role=parsed_item.role,
            evidence_required=parsed_item.evidence,
            due_offset=parsed_item.due,
            due_at=None if parsed_item.due is None else due_at(parsed_item.due, window.start, window.end),
            blocks=[_plain_block(block) for block in parsed_item.notes],
            state=ItemState.OPEN,
        )


def _plain_block(block: ParsedNote | ParsedCommands) -> dict[str, Any]:
    if isinstance(block, ParsedNote):
        return {"kind": "note", "text": block.text}
    return {"kind": "commands", "text": block.source, "language": block.language}
