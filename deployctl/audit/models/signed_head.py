"""Signed heads: the last entry of the chain at some time, signed with a key that isn't in the database."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from deployctl.audit import signed_statements, signing_keys
from deployctl.audit.models.entry import Entry
from deployctl.errors import Refusal

SCHEMA = "deployctl.head/1"


class SignedHeadManager(models.Manager["SignedHead"]):
    """Signed heads, newest first."""

    def sign(self) -> SignedHead:
        """Sign the current head and return it. If it is already signed, return the existing row.

        Raises:
            SigningKeyMissing: there is no key.
            Refusal: the chain is empty.
        """
        key = signing_keys.signing_key()
        last = Entry.objects.order_by("-sequence").first()
        if last is None:
            raise Refusal("The audit log has no entries yet, so there is nothing to sign.")
        statement = signed_statements.sign(
            {
                "schema": SCHEMA,
                "sequence": last.sequence,
                "hash": last.hash,
                "at": timezone.now().isoformat(timespec="microseconds"),
            },
            key,
        )
        # Several processes may sign at the same time; the first row is kept.
        head, _ = self.get_or_create(
            sequence=last.sequence,
            hash=last.hash,
            public_key=statement["public_key"],
            defaults={"statement": statement},
        )
        return head

    def covering(self, sequence: int) -> SignedHead:
        """Return the earliest head of the current key that covers an entry; sign one if there is none.

        Raises:
            SigningKeyMissing: there is no key.
        """
        public_key = signed_statements.public_of(signing_keys.signing_key())
        found = self.filter(sequence__gte=sequence, public_key=public_key).order_by("sequence").first()
        return found or self.sign()


class SignedHead(models.Model):
    """A head with its signature. Exports contain `statement`."""

    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    public_key = models.CharField(max_length=64)
    statement = models.JSONField()
    at = models.DateTimeField(auto_now_add=True)
    # When and to which anchor stores the head was written; empty until then.
    exported_at = models.DateTimeField(null=True)
    exported_to = models.CharField(max_length=500, blank=True)

    objects: ClassVar[SignedHeadManager] = SignedHeadManager()

    class Meta:
        ordering = ["-sequence", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["sequence", "hash", "public_key"], name="one_signed_head_each")
        ]

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @property
    def signed(self) -> dict[str, Any]:
        """The signed statement, with its signature."""
        statement: dict[str, Any] = self.statement
        return statement

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that signed the head."""
        return signed_statements.fingerprint(self.public_key)
