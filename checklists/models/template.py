"""A checklist written in Markdown, in versions that never change once published."""

from __future__ import annotations

import hashlib
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from checklists import builtin
from checklists.markdown import ParsedTemplate, render
from checklists.template_parsing import parse_template
from deployctl import audit
from deployctl.audit import Action, Actor, Machine
from deployctl.errors import InvalidInput, Refusal

# Addresses of pages below /templates/, which no template may take.
RESERVED_SLUGS = frozenset({"new"})


class VersionState(models.TextChoices):
    """A draft may be published once; a published version never changes."""

    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"


class TemplateQuerySet(models.QuerySet["Template"]):
    """Templates by what they are good for."""

    def published(self) -> TemplateQuerySet:
        """Those with a version that deployments can be created from."""
        return self.filter(versions__state=VersionState.PUBLISHED).distinct()

    def with_versions(self) -> TemplateQuerySet:
        """With the versions fetched at once, newest first and without their text."""
        return self.prefetch_related(
            models.Prefetch("versions", TemplateVersion.objects.defer("source").order_by("-number"))
        )


class Template(models.Model):
    """A named checklist."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def import_source(cls, *, slug: str, name: str, source: str, by: Actor) -> TemplateVersion:
        """Keep a text as the next version of a template, as a draft; the template is made if there is none.

        Args:
            slug: letters, digits, hyphens and underscores, at most 60; names the template in addresses.
            name: what people call it; an existing template takes the new name.
            source: Markdown, see `checklists.markdown`.
            by: who imports it.

        Raises:
            TemplateErrors: the text is no usable template.
            InvalidInput: slug or name cannot be used.
            Refusal: the text is that of the latest version.
        """
        _require_slug(slug)
        source = source.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
        name = " ".join(name.split()) or parse_template(source, slug).title
        if len(name) > 200:
            raise InvalidInput("The name is longer than 200 characters. Nothing was imported; shorten it.")
        parse_template(source, slug)
        digest = hashlib.sha256(source.encode()).hexdigest()
        with transaction.atomic():
            cls.objects.get_or_create(slug=slug, defaults={"name": name})
            template = cls.objects.select_for_update().get(slug=slug)  # numbers are given out one at a time
            latest = template.versions.first()
            if latest and latest.source_sha256 == digest:
                raise Refusal(
                    f"This text is the same as {latest} ({latest.get_state_display().lower()}). "
                    "Nothing was imported."
                )
            if template.name != name:
                cls.objects.filter(pk=template.pk).update(name=name)
                template.name = name
            version = template.versions.create(
                number=latest.number + 1 if latest else 1,
                source=source,
                source_sha256=digest,
                created_by_name=audit.actor_name(by),
            )
            audit.append(Action.TEMPLATE_IMPORTED, by=by, subject=version, data=version.facts)
        return version

    @classmethod
    def ensure_builtin(cls, slug: str = "healthcare") -> TemplateVersion:
        """The published version of a built-in template, imported and published if it is new or was changed.

        Calling it again changes nothing, so that every start may do it.
        """
        source, by = builtin.source(slug), Machine("built-in templates")
        digest = hashlib.sha256(source.encode()).hexdigest()
        with transaction.atomic():
            cls.objects.get_or_create(slug=slug, defaults={"name": parse_template(source, slug).title})
            template = cls.objects.select_for_update().get(slug=slug)  # two processes may start at once
            found = template.versions.filter(source_sha256=digest, state=VersionState.PUBLISHED).first()
            if found:
                return found
            version = template.versions.filter(source_sha256=digest).first()
            if version is None:
                version = cls.import_source(slug=slug, name=template.name, source=source, by=by)
            version.publish(by=by)
        return version

    @property
    def latest(self) -> TemplateVersion | None:
        """The newest version, draft or published."""
        return next(iter(self.versions.all()), None)

    @property
    def current(self) -> TemplateVersion | None:
        """The newest published version: what a new deployment is created from."""
        published = (version for version in self.versions.all() if version.is_published)
        return next(published, None)


class TemplateVersion(models.Model):
    """One version of a template: its Markdown source. A trigger refuses changes once it is published."""

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

    def get_absolute_url(self) -> str:
        """The page that shows what this version says."""
        return reverse("checklists:template_version", args=[self.template.slug, self.number])

    @property
    def is_published(self) -> bool:
        """Whether deployments can be created from it."""
        return self.state == VersionState.PUBLISHED

    @property
    def facts(self) -> dict[str, Any]:
        """What an audit entry says about this version."""
        return {"template": self.template.slug, "version": self.number, "sha256": self.source_sha256}

    def parsed(self) -> ParsedTemplate:
        """What the text says.

        Raises:
            TemplateErrors: it was written for operations that this installation no longer has.
        """
        return parse_template(self.source, f"{self.template.slug} v{self.number}")

    def exported(self) -> str:
        """The canonical Markdown of this version; importing it gives an equal template."""
        return render(self.parsed())

    def publish(self, by: Actor) -> None:
        """Let deployments be created from this version; from now on it never changes.

        Raises:
            Refusal: it is published already.
            TemplateErrors: it names operations that this installation no longer has.
        """
        self.parsed()
        now, name = timezone.now(), audit.actor_name(by)
        with transaction.atomic():
            changed = TemplateVersion.objects.filter(pk=self.pk, state=VersionState.DRAFT).update(
                state=VersionState.PUBLISHED, published_at=now, published_by_name=name
            )
            if changed != 1:
                raise Refusal(f"{self} is published already, and a published version never changes.")
            self.state, self.published_at, self.published_by_name = VersionState.PUBLISHED, now, name
            audit.append(Action.TEMPLATE_PUBLISHED, by=by, subject=self, data=self.facts)


def _require_slug(slug: str) -> None:
    try:
        validate_slug(slug)
    except ValidationError:
        raise InvalidInput(
            f"“{slug}” is no short name: use letters, digits, - and _ only. Nothing was imported."
        ) from None
    if len(slug) > 60 or slug in RESERVED_SLUGS:
        raise InvalidInput(f"“{slug}” is too long or reserved. Nothing was imported; choose another name.")
