"""Backups of both engines, and their trust levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models, transaction

from deployctl import audit
from deployctl.audit import Actor
from deployctl.audit.actions import Action
from deployctl.errors import Refusal
from deployctl.operations.backup import archive
from deployctl.operations.backup.archive import Archive
from deployctl.operations.backup.retention import Trust
from deployctl.operations.framework.base import PG_DUMP, PGBACKREST, BackupArtefact
from deployctl.runs import hooks
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import may_see, require_backup_transfer

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run


class EngineName(models.TextChoices):
    """The engine that makes, stores and reads a backup."""

    PG_DUMP = PG_DUMP, "pg_dump"
    PGBACKREST = PGBACKREST, "pgBackRest"


class BackupQuerySet(models.QuerySet["Backup"]):
    """Backups, by permission and engine."""

    def visible_to(self, user: Any) -> BackupQuerySet:
        """Return the backups that a user may see (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def dumps(self) -> BackupQuerySet:
        """Return the dumps, whose files deployctl stores, copies offsite, restores and expires."""
        return self.filter(engine=EngineName.PG_DUMP)

    def physical(self) -> BackupQuerySet:
        """Return the physical backups, which pgBackRest stores in its repository and expires."""
        return self.filter(engine=EngineName.PGBACKREST)

    def for_display(self) -> BackupQuerySet:
        """Prefetch everything that a list shows, in three queries."""
        levels = models.Prefetch("trust_levels", BackupTrust.objects.select_related("run"))
        return self.select_related("target", "run").prefetch_related(levels, "copies")


class Backup(models.Model):
    """A finished backup; the row is written after its files were published and read back."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="backups")
    run = models.OneToOneField("runs.Run", on_delete=models.PROTECT, related_name="backup")
    name = models.CharField(max_length=200, unique=True)
    engine = models.CharField(max_length=20, choices=EngineName.choices, default=EngineName.PG_DUMP)
    # "directory" for a dump; "full", "diff" or "incr" for a physical backup.
    format = models.CharField(max_length=20)
    size_bytes = models.BigIntegerField()
    files = models.IntegerField()
    server_version = models.CharField(max_length=60)
    tool_version = models.CharField(max_length=60)
    snapshot_at = models.DateTimeField()
    manifest_sha256 = models.CharField(max_length=64)
    # Rows by table; empty for a physical backup, which copies files.
    counts = models.JSONField(default=dict)
    # The name of the uploaded file, "" for a backup made here; the run records who uploaded it.
    uploaded_from = models.CharField(max_length=200, blank=True)
    # Facts of the engine, such as label and WAL range.
    details = models.JSONField(default=dict)
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
        """Record the backup that a run made. The caller's transaction ends the run.

        Args:
            run: the run that made it.
            artefact: the finished backup, after it was read back.
        """
        backup = cls.objects.create(
            target=run.target,
            run=run,
            name=artefact.name,
            engine=artefact.engine,
            format=artefact.format,
            size_bytes=artefact.size_bytes,
            files=artefact.files,
            server_version=artefact.server_version,
            tool_version=artefact.tool_version,
            snapshot_at=artefact.snapshot_at,
            manifest_sha256=artefact.manifest_sha256,
            counts=dict(artefact.counts),
            uploaded_from=artefact.uploaded_from,
            details=dict(artefact.details),
        )
        for level in artefact.reached:
            BackupTrust.objects.create(backup=backup, level=Trust(level), run=run)
        audit.append(
            Action.BACKUP_RECORDED,
            by=WORKER,
            subject=backup,
            deployment_id=run.deployment_id,
            data={
                "manifest_sha256": artefact.manifest_sha256,
                "size_bytes": artefact.size_bytes,
                "origin": backup.origin,
            },
        )
        return backup

    @classmethod
    def record_outcome(
        cls,
        run: Run,
        artefact: BackupArtefact | None,
        *,
        trust: Mapping[str, Sequence[str]] | None = None,
        database_oid: int | None = None,
    ) -> None:
        """Record the backup, trust levels and database of an outcome. The caller's transaction ends the run.

        Args:
            artefact, trust, database_oid: as in `framework.base.Outcome`.
        """
        if artefact is not None:
            cls.record(run, artefact)
        cls.raise_trust(run, trust or {})
        if database_oid is not None:
            # The new database becomes the identity of the target.
            seen = Target.objects.filter(pk=run.target_id, database_oid__isnull=False)
            if seen.update(database_oid=database_oid):
                what = f"run {run.pk} ({run.kind}) replaced its database"
                hooks.target_changed.send(run.target, WORKER, what)

    @classmethod
    def raise_trust(cls, run: Run, reached: Mapping[str, Sequence[str]]) -> None:
        """Record the trust levels that a run proved. The caller's transaction ends the run.

        Args:
            reached: the levels, by name of the backup.
        """
        for name, levels in reached.items():
            backup = cls.objects.get(target=run.target, name=name)
            for level in levels:
                BackupTrust.objects.create(backup=backup, level=Trust(level), run=run)
            audit.append(
                Action.BACKUP_TRUST_RAISED,
                by=WORKER,
                subject=backup,
                deployment_id=run.deployment_id,
                data={"levels": list(levels), "run": run.pk},
            )

    @transaction.atomic
    def download(self, *, by: Actor) -> Archive:
        """Return the backup as a tar for download, and record the download.

        Args:
            by: as for `permissions.may_transfer_backups`.

        Returns:
            The archive, which is read later; the audit entry is written now, even if the download breaks off.

        Raises:
            NotAllowed: `by` may not download it.
            Refusal: its files were removed, or it is a physical backup.
            Damaged, StorageError: its files differ from the record, or are missing.
        """
        require_backup_transfer(by, self.target)
        if self.expired_at is not None:
            raise Refusal(f"{self} has expired and its files were removed, so it can't be downloaded.")
        if self.is_physical:
            raise Refusal(f"{self} is stored in pgBackRest's repository, so it can't be downloaded here.")
        folder = self.target.backup_folder().path(self.name)
        tar = archive.open_backup(self.name, folder, expected_sha256=self.manifest_sha256)
        audit.append(
            Action.BACKUP_DOWNLOADED,
            by=by,
            subject=self,
            data={
                "target": self.target.name,
                "manifest_sha256": self.manifest_sha256,
                "size_bytes": tar.size,
            },
        )
        return tar

    @property
    def reached(self) -> list[BackupTrust]:
        """The newest row of each level reached, strongest first."""
        newest = {level.level: level for level in self.trust_levels.all()}  # in order of time
        return [newest[level] for level in reversed(Trust) if level in newest]

    @property
    def last_restore_s(self) -> float | None:
        """The duration of its last restore in seconds, None if unknown.

        A run that failed after the restore, such as a rollback, raised the trust level without a duration.
        """
        restored = [level.run for level in self.trust_levels.all() if level.level == Trust.RESTORED]
        times = (run.facts.get("restore_s") for run in reversed(restored))
        return next((seconds for seconds in times if seconds is not None), None)

    @property
    def trust(self) -> Trust:
        """The highest trust level reached."""
        return Trust(self.reached[0].level)

    @property
    def short_server_version(self) -> str:
        """The version without its distribution: `15.18` for `15.18 (Debian 15.18-0+deb12u1)`."""
        return self.server_version.partition(" ")[0]

    @property
    def is_physical(self) -> bool:
        """True if pgBackRest stores the backup."""
        return self.engine == EngineName.PGBACKREST

    @property
    def rows(self) -> int | None:
        """The number of rows in the dump's snapshot, None if they were not counted."""
        is_uncounted = not self.counts and (self.uploaded_from or self.is_physical)
        return None if is_uncounted else sum(self.counts.values())

    @property
    def origin(self) -> str:
        """The origin of an uploaded backup as text, "" for a backup made here."""
        return (
            f"uploaded by {self.run.requested_by_name} from {self.uploaded_from}"
            if self.uploaded_from
            else ""
        )


class BackupTrust(models.Model):
    """A trust level that a run proved for a backup."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="trust_levels")
    level = models.CharField(max_length=20, choices=[(level.value, level.label) for level in Trust])
    run = models.ForeignKey("runs.Run", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["backup", "level", "run"], name="trust_level_once_per_run")
        ]

    def __str__(self) -> str:
        return f"{self.backup}: {self.level}"
