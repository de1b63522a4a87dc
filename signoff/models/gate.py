"""A point of a deployment that needs signatures, and the roles' places in it."""

from __future__ import annotations

from django.db import models

from checklists.models import Deployment
from deployctl.accounts.roles import Role


class GateState(models.TextChoices):
    """A gate is signed when every slot holds a signature that still stands."""

    OPEN = "open", "Open"
    SIGNED = "signed", "Signed"


class Gate(models.Model):
    """`pre` approves the deployment; `post` signs it off."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="gates")
    key = models.CharField(max_length=20)
    title = models.CharField(max_length=300)
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=GateState.choices, default=GateState.OPEN)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["deployment", "key"], name="gate_keys_unique"),
        ]

    def __str__(self) -> str:
        return self.title


class Slot(models.Model):
    """A role's place in a gate."""

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="slots")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=20, choices=Role.choices)
    label = models.CharField(max_length=200)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["gate", "position"], name="slot_positions_unique")]

    def __str__(self) -> str:
        return f"{self.gate}: {self.label}"
