"""One append-only, hash-chained line: who did what to what, when."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction

from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor, actor_name, actor_user
from deployctl.audit.canonical import GENESIS, jsonable, seal
from deployctl.audit.descriptions import facts

# "audit" in ASCII: no other advisory lock of the product uses this number.
CHAIN_LOCK = 0x6175646974


class EntryQuerySet(models.QuerySet["Entry"]):
    """Entries by what they are about."""

    def of_deployment(self, deployment_id: int) -> EntryQuerySet:
        """What happened to a deployment and to everything in it."""
        return self.filter(deployment_id=deployment_id)

    def about(self, subject: models.Model) -> EntryQuerySet:
        """What happened to one thing."""
        return self.filter(subject_type=subject._meta.label_lower, subject_id=str(subject.pk))

    def between(self, start: dt.datetime | None, end: dt.datetime | None) -> EntryQuerySet:
        """What happened from `start` on and before `end`; None leaves a side open."""
        found = self
        if start is not None:
            found = found.filter(at__gte=start)
        if end is not None:
            found = found.filter(at__lt=end)
        return found


class EntryManager(models.Manager.from_queryset(EntryQuerySet)):  # type: ignore[misc]
    """The chain."""

    def append(
        self,
        action: Action,
        *,
        by: Actor,
        subject: models.Model | None = None,
        deployment_id: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> Entry:
        """Add the next entry within the caller's transaction: it stands if and only if that commits.

        One transaction at a time may be between here and its commit, so call this as the last act of a verb,
        after every row lock: whoever waits for a row while holding the chain can deadlock with whoever holds
        that row and waits for the chain (PostgreSQL then ends one of the two).

        Args:
            action: what happened.
            by: who did it; the name is kept as it is now.
            subject: what it happened to; its `str()` is kept as it is now.
            deployment_id: the deployment that this belongs to.
            data: further facts for the reader, as JSON: earlier and later values, reasons. No secrets.

        Raises:
            django.db.transaction.TransactionManagementError: there is no transaction.
        """
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                "An audit entry must be part of the transaction whose change it records."
            )
        person = actor_user(by)
        entry: Entry = self.model(
            actor_id=person.pk if person else None,
            actor_name=jsonable(actor_name(by)),
            action=str(action),
            subject_type=subject._meta.label_lower if subject else "",
            subject_id=str(subject.pk) if subject else "",
            subject=jsonable(str(subject))[:300] if subject else "",
            deployment_id=deployment_id,
            data=jsonable(data or {}),
        )
        entry.sequence, entry.previous_hash, entry.at = _next_place()
        entry.hash = seal(entry)
        entry.save(force_insert=True)
        return entry


class Entry(models.Model):
    """A line of the audit chain; appended by `deployctl.audit.append`, never changed.

    The database refuses UPDATE, DELETE and TRUNCATE by triggers (see the first migration).
    """

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="audit_entries"
    )
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=60, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    # A number, not a foreign key: deployments live on a higher floor.
    deployment_id = models.BigIntegerField(null=True)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = EntryManager()

    class Meta:
        ordering = ["-sequence"]
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["deployment_id", "sequence"]),
            models.Index(fields=["subject_type", "subject_id", "sequence"]),
            models.Index(fields=["action", "sequence"]),
            models.Index(fields=["at"]),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(sequence__gte=1), name="audit_starts_at_one")
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} {self.subject}".rstrip()

    @property
    def what(self) -> str:
        """The action in words, without the noun that it begins with: “proof added”."""
        return self.action.partition(".")[2].replace("_", " ")

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The further facts as names and words."""
        return facts(self.data)


def _next_place() -> tuple[int, str, dt.datetime]:
    """Wait for the end of the chain; then its next number, the hash to follow, and the database's time."""
    with connection.cursor() as cursor:
        # Released at the end of the transaction, whatever that is. A statement of its own: the next one then
        # sees what was committed while we waited (PostgreSQL manual, 13.2.1, Read Committed).
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
        cursor.execute(
            "SELECT coalesce(max(sequence), 0), clock_timestamp(),"
            " (SELECT hash FROM audit_entry ORDER BY sequence DESC LIMIT 1) FROM audit_entry"
        )
        last, now, last_hash = cursor.fetchone()
    return last + 1, last_hash or GENESIS, now
