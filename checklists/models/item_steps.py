"""The steps that every verb of an item takes: hold the deployment, move, let parents follow, tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from django.db import models
from django.utils import timezone

from checklists import hooks
from checklists.actors import user_of
from checklists.models.item_queries import ItemQuerySet
from checklists.models.item_refusals import how_it_stands
from checklists.models.item_states import ItemState
from checklists.models.keeping import Completion
from checklists.models.turns import why_frozen
from checklists.rights import Rights
from deployctl import audit
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import Refusal

if TYPE_CHECKING:
    from checklists.models.checklist import Section
    from checklists.models.deployment import Deployment
    from checklists.models.item import Item


class ItemSteps(models.Model):
    """What an item inherits: its place in the checklist, its state, and how that is moved."""

    section: models.ForeignKey[Section, Section] = models.ForeignKey(
        "checklists.Section", on_delete=models.PROTECT, related_name="items"
    )
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    text = models.TextField()
    state = models.CharField(max_length=20, choices=ItemState.choices, default=ItemState.OPEN)

    class Meta:
        abstract = True

    @property
    def deployment(self) -> Deployment:
        """What the promise belongs to."""
        return self.section.checklist.deployment

    @property
    def _item(self) -> Item:
        return cast("Item", self)

    @property
    def _rows(self) -> ItemQuerySet:
        return cast("ItemQuerySet", type(self)._default_manager.all())

    @contextmanager
    def _changing(self, by: Actor) -> Iterator[Deployment]:
        """Hold the deployment, with the item as it is now, for somebody who may keep it."""
        with self.deployment.changing() as deployment:
            self.refresh_from_db(fields=["state"])
            Rights.of(by, deployment).require_keep(self._item)
            if reason := why_frozen(deployment.state, self.section.stage):
                raise Refusal(f"“{self}” was not changed. {reason}")
            yield deployment

    def _move(self, to: ItemState, *sources: str) -> None:
        if self._rows.filter(pk=self.pk, state__in=sources).update(state=to) != 1:
            raise Refusal(how_it_stands(self._item))
        self.state = to

    def _complete(self, by: Actor, note: str) -> None:
        Completion.objects.create(item=self._item, by=user_of(by), by_name=actor_name(by), note=note)

    def _withdraw_completion(self, by: Actor) -> None:
        self._item.completions.filter(undone_at=None).update(
            undone_at=timezone.now(), undone_by_name=actor_name(by)
        )

    def _tell(self, by: Actor, action: Action, what: str, **data: object) -> None:
        """Let parents follow, notify handlers, append the audit entry, announce what pages show of it."""
        above = list(self._lead_parents())
        stage = self.section.stage
        hooks.record_changed.send(self.deployment, by, f"“{self}” {what}", stage)
        self._audit(action, by, {key: value for key, value in data.items() if value != ""})
        for parent in (parent for parent, moved in above if moved):
            parent._audit(Action.ITEM_ROLLED_UP, by, {"state": parent.state, "after": str(self)})
        ids = [f"item-{item.pk}" for item in (self._item, *(parent for parent, _ in above))]
        phase = f"phase-{self.deployment.pk}-{self.section.phase_position}"
        self.deployment.announce(*ids, f"section-{self.section_id}", phase)

    def _lead_parents(self) -> Iterator[tuple[Item, bool]]:
        """Set each item above to what its sub-items say together; yields it, and whether it moved."""
        child = self._item
        while child.parent_id is not None:
            parent = self._rows.get(pk=child.parent_id)
            state = ItemState.of_children(parent.children.values_list("state", flat=True))
            moved = state != parent.state
            if moved:
                parent._move(state, parent.state)
            yield parent, moved
            child = parent

    def _audit(self, action: Action, by: Actor, data: dict[str, object]) -> None:
        audit.append(
            action, by=by, subject=self, deployment_id=self.section.checklist.deployment_id, data=data
        )
