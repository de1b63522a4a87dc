"""A dump with its manifest and how far it is to be trusted."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from deployctl import audit
from deployctl.audit.actions import Action
from deployctl.operations.base import BackupArtefact
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.run import Run
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import may_see


class Trust(models.TextChoices):
    """How far a backup has been proven, from the weakest."""

    WRITTEN = "written", "Written"
    HASHED = "hashed", "Hashed"
    RESTORED = "restored", "Restored"
    PROVEN = "proven", "Proven"


class BackupQuerySet(models.QuerySet["Backup"]):
    """Backups, by who may see them."""

    def visible_to(self, user: Any) -> BackupQuerySet:
        """The backups that somebody may look at (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def for_display(self) -> BackupQuerySet:
        """With everything a list shows of them, in two queries."""
        return self.select_related("target", "run").prefetch_related("trust_levels")


class Backup(models.Model):
    """A finished backup; rows are written only after the files were published and read back."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="backups")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="backup")
    name = models.CharField(max_length=200, unique=True)
    format = models.CharField(max_length=20)
    size_bytes = models.BigIntegerField()
    files = models.IntegerField()
    server_version = models.CharField(max_length=60)
    tool_version = models.CharField(max_length=60)
    snapshot_at = models.DateTimeField()
    manifest_sha256 = models.CharField(max_length=64)
    counts = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    # When its files were removed; the row is never deleted.
    expired_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Backup]] = models.Manager.from_queryset(BackupQuerySet)()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def record(cls, run: Run, artefact: BackupArtefact) -> Backup:
        """Record what a run made, in the transaction that ends it.

        Args:
            run: the run that made it.
            artefact: published, and every byte read back: that is what `hashed` means.
        """
        backup = cls.objects.create(
            target=run.target,
            run=run,
            name=artefact.name,
            format=artefact.format,
            size_bytes=artefact.size_bytes,
            files=artefact.files,
            server_version=artefact.server_version,
            tool_version=artefact.tool_version,
            snapshot_at=artefact.snapshot_at,
            manifest_sha256=artefact.manifest_sha256,
            counts=dict(artefact.counts),
        )
        for level in (Trust.WRITTEN, Trust.HASHED):
            BackupTrust.objects.create(backup=backup, level=level, run=run)
        audit.append(
            Action.BACKUP_RECORDED,
            by=WORKER,
            subject=backup,
            deployment_id=run.deployment_id,
            data={"manifest_sha256": artefact.manifest_sha256, "size_bytes": artefact.size_bytes},
        )
        return backup

    @property
    def trust(self) -> Trust:
        """The highest level reached."""
        reached = {level.level for level in self.trust_levels.all()}
        return [level for level in Trust if level in reached][-1]

    @property
    def rows(self) -> int:
        """Rows in all tables, as counted in the dump's own snapshot."""
        return sum(self.counts.values())


class BackupTrust(models.Model):
    """A level of trust that a backup reached, when, and by which run."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="trust_levels")
    level = models.CharField(max_length=20, choices=Trust.choices)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["backup", "level", "run"], name="trust_level_once_per_run")
        ]

    def __str__(self) -> str:
        return f"{self.backup}: {self.level}"
