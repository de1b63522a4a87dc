"""A backup, whichever engine keeps it, and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models, transaction

from deployctl import audit
from deployctl.audit import Actor
from deployctl.audit.actions import Action
from deployctl.errors import Refusal
from deployctl.operations import archive
from deployctl.operations.archive import Archive
from deployctl.operations.base import PG_DUMP, PGBACKREST, BackupArtefact
from deployctl.operations.retention import Trust
from deployctl.runs import hooks
from deployctl.runs.models.lease import WORKER
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import may_see, require_mover

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run


class EngineName(models.TextChoices):
    """What made a backup, keeps its files and reads them."""

    PG_DUMP = PG_DUMP, "pg_dump"
    PGBACKREST = PGBACKREST, "pgBackRest"


class BackupQuerySet(models.QuerySet["Backup"]):
    """Backups, by who may see them."""

    def visible_to(self, user: Any) -> BackupQuerySet:
        """The backups that somebody may look at (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def dumps(self) -> BackupQuerySet:
        """Those whose files we keep ourselves; retention, copies and restores are about these."""
        return self.filter(engine=EngineName.PG_DUMP)

    def physical(self) -> BackupQuerySet:
        """Those that pgBackRest keeps in its repository, and expires."""
        return self.filter(engine=EngineName.PGBACKREST)

    def for_display(self) -> BackupQuerySet:
        """With everything a list shows of them, in three queries."""
        levels = models.Prefetch("trust_levels", BackupTrust.objects.select_related("run"))
        return self.select_related("target", "run").prefetch_related(levels, "copies")


class Backup(models.Model):
    """A finished backup; rows are written only after the files were published and read back."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="backups")
    run = models.OneToOneField("runs.Run", on_delete=models.PROTECT, related_name="backup")
    name = models.CharField(max_length=200, unique=True)
    engine = models.CharField(max_length=20, choices=EngineName.choices, default=EngineName.PG_DUMP)
    # Of a dump "directory"; of a physical backup "full", "diff" or "incr".
    format = models.CharField(max_length=20)
    size_bytes = models.BigIntegerField()
    files = models.IntegerField()
    server_version = models.CharField(max_length=60)
    tool_version = models.CharField(max_length=60)
    snapshot_at = models.DateTimeField()
    manifest_sha256 = models.CharField(max_length=64)
    # Rows by table; none for a physical backup, which is taken without looking inside.
    counts = models.JSONField(default=dict)
    # The name of the file that somebody sent in; the run says who. "" for a dump of ours.
    uploaded_from = models.CharField(max_length=200, blank=True)
    # What only its engine knows of it, such as label and range of WAL.
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
        """Record what a run made, in the transaction that ends it.

        Args:
            run: the run that made it.
            artefact: finished and read back.
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
    def settle(
        cls,
        run: Run,
        artefact: BackupArtefact | None,
        *,
        trust: Mapping[str, Sequence[str]] | None = None,
        database_oid: int | None = None,
    ) -> None:
        """Record everything about backups that a run achieved, in the transaction that ends it.

        Args:
            artefact, trust, database_oid: as `operations.base.Outcome` has them.
        """
        if artefact is not None:
            cls.record(run, artefact)
        cls.raise_trust(run, trust or {})
        if database_oid is not None:
            # The database that took the place of the one seen first is recognised from now on.
            seen = Target.objects.filter(pk=run.target_id, database_oid__isnull=False)
            if seen.update(database_oid=database_oid):
                what = f"run {run.pk} ({run.kind}) put another database in its place"
                hooks.target_changed.send(run.target, WORKER, what)

    @classmethod
    def raise_trust(cls, run: Run, reached: Mapping[str, Sequence[str]]) -> None:
        """Record what a run proved of its target's backups, in the transaction that ends it.

        Args:
            reached: levels by the name of the backup.
        """
        for name, levels in reached.items():
            backup = cls.objects.get(target=run.target, name=name)
            for level in levels:
                BackupTrust.objects.create(backup=backup, level=Trust(level), run=run)
            audit.append(
                Action.BACKUP_TRUSTED,
                by=WORKER,
                subject=backup,
                deployment_id=run.deployment_id,
                data={"levels": list(levels), "run": run.pk},
            )

    @transaction.atomic
    def hand_out(self, *, by: Actor) -> Archive:
        """Give the backup to somebody, and record who took it.

        Args:
            by: an administrator, an operator who is the target's Database Administrator, or the command line.

        Returns:
            It as a tar that is still to be read; the audit has the taking, however far that comes.

        Raises:
            NotAllowed: `by` is none of those.
            Refusal: its files were removed, or it is a physical backup.
            Damaged, StorageError: its files are not what was recorded, or not there.
        """
        require_mover(by, self.target)
        if self.expired_at is not None:
            raise Refusal(f"The files of {self} were removed when it expired. Nothing can be downloaded.")
        if self.is_physical:
            raise Refusal(
                f"{self} is kept by pgBackRest, in its own repository. It cannot be downloaded from here."
            )
        folder = self.target.backup_folder().path(self.name)
        taken = archive.of(self.name, folder, expected_sha256=self.manifest_sha256)
        audit.append(
            Action.BACKUP_DOWNLOADED,
            by=by,
            subject=self,
            data={
                "target": self.target.name,
                "manifest_sha256": self.manifest_sha256,
                "size_bytes": taken.size,
            },
        )
        return taken

    @property
    def reached(self) -> list[BackupTrust]:
        """Each level that was reached, the strongest first, as it was reached last."""
        newest = {level.level: level for level in self.trust_levels.all()}  # in order of time
        return [newest[level] for level in reversed(Trust) if level in newest]

    @property
    def last_restore_s(self) -> float | None:
        """Seconds that the last restore of it took, None where none was measured.

        A run that failed after it had restored, as a rollback may, has raised the trust, but has no figures.
        """
        restored = [one.run for one in self.trust_levels.all() if one.level == Trust.RESTORED]
        times = (run.facts.get("restore_s") for run in reversed(restored))
        return next((seconds for seconds in times if seconds is not None), None)

    @property
    def trust(self) -> Trust:
        """The highest level reached."""
        return Trust(self.reached[0].level)

    @property
    def short_server_version(self) -> str:
        """`15.18` of `15.18 (Debian 15.18-0+deb12u1)`."""
        return self.server_version.partition(" ")[0]

    @property
    def is_physical(self) -> bool:
        """Whether pgBackRest keeps it."""
        return self.engine == EngineName.PGBACKREST

    @property
    def rows(self) -> int | None:
        """Rows in all tables, as counted in the dump's own snapshot; None where nobody counted."""
        nobody_counted = not self.counts and (self.uploaded_from or self.is_physical)
        return None if nobody_counted else sum(self.counts.values())

    @property
    def origin(self) -> str:
        """Where it comes from, "" for a dump of ours."""
        return (
            f"uploaded by {self.run.requested_by_name} from {self.uploaded_from}"
            if self.uploaded_from
            else ""
        )


class BackupTrust(models.Model):
    """A level of trust that a backup reached, when, and by which run."""

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
