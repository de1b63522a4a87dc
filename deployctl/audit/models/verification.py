"""When the chain was last read back, by whom, and what was found."""

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
        """Verify the chain now, also against the heads that are kept elsewhere, and keep the result.

        Args:
            by: who asks for it.
            expected_head: a head noted earlier, which the chain must still contain.
        """
        from deployctl.audit import anchor_stores  # it knows the models

        elsewhere = anchor_stores.read_heads()
        noted = [expected_head] if expected_head else []
        result = verification.verify(*noted, *elsewhere.heads)
        with transaction.atomic():
            row = self.create(
                by_name=actor_name(by),
                ok=result.ok,
                checked=result.checked,
                first_broken_sequence=result.first_broken_sequence,
                reason=result.reason,
                head_hash=result.head.hash,
                heads=len(elsewhere.heads),
                problems=elsewhere.problems,
            )
            entry = audit.append(
                Action.CHAIN_VERIFIED,
                by=by,
                data={
                    "ok": result.ok,
                    "checked": result.checked,
                    "reason": result.reason,
                    "heads": len(elsewhere.heads),
                    "problems": elsewhere.problems,
                },
            )
            if not result.ok:
                hooks.chain_broken.send(entry)
        return row


class Verification(models.Model):
    """One reading of the chain, from the first entry on."""

    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    ok = models.BooleanField()
    # As many entries were good, which is also the number of the last good one; its hash.
    checked = models.BigIntegerField()
    head_hash = models.CharField(max_length=64)
    first_broken_sequence = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True)
    # How many heads kept elsewhere the chain was compared with, and sentences about what is wrong there.
    heads = models.IntegerField(default=0)
    problems = models.JSONField(default=list)

    objects = VerificationManager()

    class Meta:
        ordering = ["-at", "-pk"]
        get_latest_by = "at"

    def __str__(self) -> str:
        return f"{pluralize(self.checked, 'entry')} checked" if self.ok else self.reason
