"""The audit entry: an append-only, hash-chained row that says who did what to which subject, and when."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction

from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor, actor_name, actor_user
from deployctl.audit.canonical import GENESIS, compute_hash, jsonable
from deployctl.audit.descriptions import facts

# "audit" in ASCII: no other advisory lock of deployctl uses this number.
CHAIN_LOCK = 0x6175646974


class EntryQuerySet(models.QuerySet["Entry"]):
    """Queries for audit entries."""

    def of_deployment(self, deployment_id: int) -> EntryQuerySet:
        """Return the entries about a deployment and everything in it."""
        return self.filter(deployment_id=deployment_id)

    def about(self, subject: models.Model) -> EntryQuerySet:
        """Return the entries about one object."""
        return self.filter(subject_type=subject._meta.label_lower, subject_id=str(subject.pk))

    def between(self, start: dt.datetime | None, end: dt.datetime | None) -> EntryQuerySet:
        """Return the entries from `start` (inclusive) to `end` (exclusive); None means no limit."""
        found = self
        if start is not None:
            found = found.filter(at__gte=start)
        if end is not None:
            found = found.filter(at__lt=end)
        return found


class EntryManager(models.Manager.from_queryset(EntryQuerySet)):  # type: ignore[misc]
    """The manager that appends entries to the chain."""

    def append(
        self,
        action: Action,
        *,
        by: Actor,
        subject: models.Model | None = None,
        deployment_id: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> Entry:
        """Append an entry within the caller's transaction, with which it is committed or rolled back.

        Appending locks the chain until the end of the transaction, so call this last, after every row lock.
        A transaction that locks the chain first and a row afterwards can deadlock with one that locks them in
        the other order.

        Args:
            action: what happened.
            by: the actor, whose current name is stored.
            subject: the object it happened to; its current `str()` is stored.
            deployment_id: the deployment that the entry belongs to.
            data: further facts as JSON, such as earlier and later values or a reason. No secrets.

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
        entry.sequence, entry.previous_hash, entry.at = _lock_chain()
        entry.hash = compute_hash(entry)
        entry.save(force_insert=True)
        return entry


class Entry(models.Model):
    """An entry of the audit chain, appended by `deployctl.audit.append` and never changed.

    Triggers reject UPDATE, DELETE and TRUNCATE (see the first migration).
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
    # Not a foreign key, because deployments are in a higher layer.
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
    def verb(self) -> str:
        """The action as text, without its leading noun: “proof added”."""
        return self.action.partition(".")[2].replace("_", " ")

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The data as pairs of label and text."""
        return facts(self.data)


def _lock_chain() -> tuple[int, str, dt.datetime]:
    """Lock the end of the chain and return the next number, the previous hash and the database's time."""
    with connection.cursor() as cursor:
        # The lock is released when the transaction ends. It needs a separate statement: the next one then
        # sees what was committed while this one waited (PostgreSQL manual, 13.2.1, Read Committed).
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
        cursor.execute(
            "SELECT coalesce(max(sequence), 0), clock_timestamp(),"
            " (SELECT hash FROM audit_entry ORDER BY sequence DESC LIMIT 1) FROM audit_entry"
        )
        last, now, last_hash = cursor.fetchone()
    return last + 1, last_hash or GENESIS, now
