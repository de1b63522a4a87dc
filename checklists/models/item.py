"""One promise of a checklist, and the rows that say who kept it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from checklists.models.checklist import Section
from deployctl.accounts.roles import Role
from deployctl.runs.models import Run


class ItemState(models.TextChoices):
    """Where an item is."""

    OPEN = "open", "Open"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    WAIVED = "waived", "Waived"


class ItemKind(models.TextChoices):
    """How an item is fulfilled."""

    MANUAL = "manual", "By a person"
    CHECK = "check", "By a check"
    OPERATION = "operation", "By an operation"


class Item(models.Model):
    """A promise. Its state is moved only by its verbs."""

    section = models.ForeignKey(Section, on_delete=models.PROTECT, related_name="items")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    text = models.TextField()
    kind = models.CharField(max_length=20, choices=ItemKind.choices, default=ItemKind.MANUAL)
    # Names from the catalogues, which are discovered and so not baked into migrations.
    operation = models.CharField(max_length=40, blank=True)
    check_name = models.CharField(max_length=60, blank=True)
    params = models.JSONField(default=dict)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    evidence_required = models.BooleanField(default=False)
    due_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=20, choices=ItemState.choices, default=ItemState.OPEN)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["section", "position"], name="item_positions_unique")]

    def __str__(self) -> str:
        return self.text


class Completion(models.Model):
    """Who ticked an item and when; undone, not deleted."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="completions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    note = models.TextField(blank=True)
    undone_at = models.DateTimeField(null=True)
    undone_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(undone_at=None), name="one_standing_completion"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item} by {self.by_name}"


class Waiver(models.Model):
    """Who declared an item not applicable, and why; withdrawn, not deleted."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="waivers")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(withdrawn_at=None), name="one_standing_waiver"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item} waived by {self.by_name}"


class ProofKind(models.TextChoices):
    """What a proof is made of."""

    NOTE = "note", "Note"
    LINK = "link", "Link"
    FILE = "file", "File"
    RUN = "run", "Run"
    CHECK = "check", "Check"


class ProofOutcome(models.TextChoices):
    """What a proof says; people's notes, links and files say nothing by themselves."""

    NONE = "", "—"
    PENDING = "pending", "Pending"
    PASS = "pass", "Pass"
    FAIL = "fail", "Fail"
    NOT_MEASURABLE = "not_measurable", "Not measurable"
    ERROR = "error", "Error"


class Proof(models.Model):
    """A row that backs an item: a run, a check's result, a file, a link or a note."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="proofs")
    kind = models.CharField(max_length=20, choices=ProofKind.choices)
    outcome = models.CharField(
        max_length=20, choices=ProofOutcome.choices, blank=True, default=ProofOutcome.NONE
    )
    text = models.TextField(blank=True)
    url = models.URLField(max_length=1000, blank=True)
    file = models.FileField(upload_to="proofs/", blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    file_size = models.BigIntegerField(null=True)
    file_sha256 = models.CharField(max_length=64, blank=True)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="proofs")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    valid_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "run"], condition=models.Q(run__isnull=False), name="one_proof_per_item_and_run"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.kind}"
