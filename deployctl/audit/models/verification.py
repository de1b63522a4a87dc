"""Verifications of the audit chain: when, by whom and with which result."""

from __future__ import annotations

from django.db import models, transaction

from deployctl import audit
from deployctl.audit import hooks, verification
from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor, actor_name
from deployctl.audit.verification import Head
from deployctl.text import pluralize


class VerificationManager(models.Manager["Verification"]):
    """Verifications, newest first."""

    def perform(self, *, by: Actor, expected_head: Head | None = None) -> Verification:
        """Verify the chain, also against the heads in the anchor stores, and store the result.

        Args:
            by: who requested it.
            expected_head: an earlier head, which the chain must still contain.
        """
        from deployctl.audit import anchor_stores  # imports the models

        anchored = anchor_stores.read_heads()
        given = [expected_head] if expected_head else []
        result = verification.verify(*given, *anchored.heads)
        with transaction.atomic():
            row = self.create(
                by_name=actor_name(by),
                ok=result.ok,
                checked=result.checked,
                first_broken_sequence=result.first_broken_sequence,
                reason=result.reason,
                head_hash=result.head.hash,
                heads=len(anchored.heads),
                problems=anchored.problems,
            )
            entry = audit.append(
                Action.CHAIN_VERIFIED,
                by=by,
                data={
                    "ok": result.ok,
                    "checked": result.checked,
                    "reason": result.reason,
                    "heads": len(anchored.heads),
                    "problems": anchored.problems,
                },
            )
            if not result.ok:
                hooks.chain_broken.send(entry)
        return row


class Verification(models.Model):
    """A verification of the whole chain."""

    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    ok = models.BooleanField()
    # The number of intact entries, which is also the sequence of the last one, and the hash of that entry.
    checked = models.BigIntegerField()
    head_hash = models.CharField(max_length=64)
    first_broken_sequence = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True)
    # How many anchored heads the chain was compared with, and problems with stores and heads.
    heads = models.IntegerField(default=0)
    problems = models.JSONField(default=list)

    objects = VerificationManager()

    class Meta:
        ordering = ["-at", "-pk"]
        get_latest_by = "at"

    def __str__(self) -> str:
        return f"{pluralize(self.checked, 'entry')} checked" if self.ok else self.reason
