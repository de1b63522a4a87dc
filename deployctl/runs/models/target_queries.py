"""The questions about targets that have names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from deployctl.errors import InvalidInput
from deployctl.runs.permissions import may_see

if TYPE_CHECKING:
    from deployctl.runs.models.target import Target


class TargetQuerySet(models.QuerySet["Target"]):
    """Targets, by who may see them and what they are for."""

    def visible_to(self, user: Any) -> TargetQuerySet:
        """The targets that somebody may look at (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def current(self) -> TargetQuerySet:
        """Without the archived ones."""
        return self.filter(archived_at=None)

    def with_newest(self) -> TargetQuerySet:
        """Each with its newest run and backup, as `newest_runs` and `newest_backups` of at most one."""
        return self.prefetch_related(
            *(
                models.Prefetch(related, to_attr=f"newest_{related}", queryset=_newest(self.model, related))
                for related in ("runs", "backups")
            )
        )

    def called(self, name: str) -> Target:
        """The current target of a name, whatever its case.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        try:
            return self.current().get(name__iexact=name)
        except self.model.DoesNotExist:
            known = ", ".join(self.current().values_list("name", flat=True)) or "none yet"
            raise InvalidInput(f"There is no target {name!r}. There are: {known}.") from None


def _newest(model: type[models.Model], related: str) -> models.QuerySet[Any]:
    """The newest related row of each target; Django makes a window function of the slice (4.2 and later)."""
    related_model: Any = model._meta.get_field(related).related_model
    rows: models.QuerySet[Any] = related_model.objects.order_by("-pk")[:1]
    return rows
