"""The promises of a deployment: a checklist with sections, in phases."""

from __future__ import annotations

from django.db import models

from checklists.models.deployment import Deployment


class Stage(models.TextChoices):
    """When a section's promises are due, and which gate covers them."""

    PRE = "pre", "Before approval"
    DEPLOY = "deploy", "Deployment"
    POST = "post", "After deployment"
    WEEK = "week", "First week"
    ONGOING = "ongoing", "Ongoing"
    REFERENCE = "reference", "Reference"


class Checklist(models.Model):
    """The items of one deployment."""

    deployment = models.OneToOneField(Deployment, on_delete=models.PROTECT, related_name="checklist")

    def __str__(self) -> str:
        return f"Checklist of {self.deployment}"


class Section(models.Model):
    """A headed group of items within a phase."""

    checklist = models.ForeignKey(Checklist, on_delete=models.PROTECT, related_name="sections")
    position = models.PositiveIntegerField()
    phase = models.CharField(max_length=300)
    phase_position = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    stage = models.CharField(max_length=20, choices=Stage.choices)
    routine = models.CharField(max_length=20, blank=True)
    commands = models.JSONField(default=list)
    notes = models.TextField(blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["checklist", "position"], name="section_positions_unique")
        ]

    def __str__(self) -> str:
        return self.title or self.phase
