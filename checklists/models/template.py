"""A checklist written in Markdown, in versions that never change once published."""

from __future__ import annotations

from django.db import models


class VersionState(models.TextChoices):
    """A draft may be published once; a published version never changes."""

    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"


class Template(models.Model):
    """A named checklist."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(models.Model):
    """One version of a template: its Markdown source."""

    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=VersionState.choices, default=VersionState.DRAFT)
    source = models.TextField()
    source_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by_name = models.CharField(max_length=200)
    published_at = models.DateTimeField(null=True)
    published_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_numbers_unique")
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"
