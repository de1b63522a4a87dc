"""The physical engine of a target: its pgBackRest stanza and configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from django.db import models, transaction

from deployctl import audit
from deployctl.audit import Actor
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput
from deployctl.operations.physical.engine import Engine
from deployctl.runs import allowed_paths
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import require_administrator

# pgBackRest uses the stanza as a folder name and an option.
STANZA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class PhysicalEngine(models.Model):
    """The pgBackRest stanza of a target. Passwords and keys stay in pgBackRest's configuration."""

    target = models.OneToOneField(Target, on_delete=models.PROTECT, related_name="physical_engine")
    stanza = models.CharField(max_length=100)
    # "" for pgBackRest's default.
    configuration = models.CharField(max_length=500, blank=True)
    # The folder for test restores; "" for the target's backup folder.
    scratch_folder = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[PhysicalEngine]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.target}: {self.stanza}"

    @classmethod
    def of(cls, target: Target) -> Engine | None:
        """Return the engine that operations use for a target, None if it has none.

        Raises:
            InvalidInput: a path is not allowed (any more).
        """
        row = cls.objects.filter(target=target).first()
        if row is None:
            return None
        _check(row.stanza, row.configuration, row.scratch_folder)
        return Engine(
            stanza=row.stanza,
            configuration=Path(row.configuration) if row.configuration else None,
            scratch=Path(row.scratch_folder) if row.scratch_folder else target.backup_folder().root,
        )

    @classmethod
    @transaction.atomic
    def set(
        cls, target: Target, *, stanza: str, by: Actor, configuration: str = "", scratch_folder: str = ""
    ) -> PhysicalEngine:
        """Set the physical engine of a target. Run `physical_check` afterwards to test it.

        Args:
            stanza: the name of the target's cluster in pgBackRest.
            configuration: the configuration file; "" for pgBackRest's default.
            scratch_folder: a folder with room for the whole cluster; "" for the target's backup folder.

        Raises:
            InvalidInput: an argument is invalid.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        _check(stanza, configuration, scratch_folder)
        row = cls.objects.filter(target=target).first()
        before = row.facts() if row else {}
        values = {"stanza": stanza, "configuration": configuration, "scratch_folder": scratch_folder}
        row, _ = cls.objects.update_or_create(target=target, defaults=values)
        audit.append(
            Action.TARGET_ENGINE_SET, by=by, subject=target, data={"before": before, "after": row.facts()}
        )
        target.announce()
        return row

    @classmethod
    @transaction.atomic
    def remove(cls, target: Target, *, by: Actor) -> None:
        """Remove the physical engine of a target. Backups on record and in the repository stay.

        Raises:
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        row = cls.objects.filter(target=target).first()
        if row is None:
            return
        before = row.facts()
        row.delete()
        audit.append(Action.TARGET_ENGINE_SET, by=by, subject=target, data={"before": before, "after": {}})
        target.announce()

    def facts(self) -> dict[str, str]:
        """Return the fields that the audit records."""
        return {
            "stanza": self.stanza,
            "configuration": self.configuration,
            "scratch_folder": self.scratch_folder,
        }


def _check(stanza: str, configuration: str, scratch_folder: str) -> None:
    if not STANZA.fullmatch(stanza):
        raise InvalidInput(f"“{stanza}” isn't a valid stanza name. Use letters, digits, _, . and - only.")
    if configuration:
        allowed_paths.check_pgbackrest_path(configuration)
    if scratch_folder:
        allowed_paths.check_scratch_folder(scratch_folder)
