"""A dump with its manifest and how far it is to be trusted."""

from __future__ import annotations

from django.db import models

from deployctl.runs.models.run import Run
from deployctl.runs.models.target import Target


class Trust(models.TextChoices):
    """How far a backup has been proven, from the weakest."""

    WRITTEN = "written", "Written"
    HASHED = "hashed", "Hashed"
    RESTORED = "restored", "Restored"
    PROVEN = "proven", "Proven"


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

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


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
