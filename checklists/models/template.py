"""Templates: checklists in Markdown, with versions that never change once they are published."""

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

# Slugs that would collide with pages below /templates/.
RESERVED_SLUGS = frozenset({"new"})


class VersionState(models.TextChoices):
    """The state of a template version: a draft can be published; a published version never changes."""

    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"


class TemplateQuerySet(models.QuerySet["Template"]):
    """A query of templates."""

    def published(self) -> TemplateQuerySet:
        """Return the templates with a published version, from which deployments can be created."""
        return self.filter(versions__state=VersionState.PUBLISHED).distinct()

    def with_versions(self) -> TemplateQuerySet:
        """Prefetch the versions, newest first, without their source."""
        return self.prefetch_related(
            models.Prefetch("versions", TemplateVersion.objects.defer("source").order_by("-number"))
        )


class Template(models.Model):
    """A named template with its versions."""

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
        """Save a text as a draft of the template's next version; create the template if it doesn't exist.

        Args:
            slug: identifies the template in URLs; up to 60 letters, digits, hyphens and underscores.
            name: the name that people see; an existing template is renamed. If it is empty, the text's title
                is used.
            source: Markdown, see `checklists.markdown`.
            by: the actor who imports it.

        Raises:
            TemplateErrors: the text is not a valid template.
            InvalidInput: the slug or name is invalid.
            Refusal: the text equals that of the latest version.
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
            template = cls.objects.select_for_update().get(slug=slug)  # serializes version numbers
            latest = template.versions.first()
            if latest and latest.source_sha256 == digest:
                raise Refusal(
                    f"This text is identical to {latest} ({latest.get_state_display().lower()}). "
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
        """Return the published version of a built-in template; import and publish it first if necessary.

        This is idempotent: it is called at every start.
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
        """The newest published version, from which new deployments are created."""
        published = (version for version in self.versions.all() if version.is_published)
        return next(published, None)


class TemplateVersion(models.Model):
    """One version of a template, with its Markdown source. A trigger rejects changes once it is published."""

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
        """Return the URL of the version's page."""
        return reverse("checklists:template_version", args=[self.template.slug, self.number])

    @property
    def is_published(self) -> bool:
        """Return True if deployments can be created from this version."""
        return self.state == VersionState.PUBLISHED

    @property
    def facts(self) -> dict[str, Any]:
        """The data that audit entries record about this version."""
        return {"template": self.template.slug, "version": self.number, "sha256": self.source_sha256}

    def parsed(self) -> ParsedTemplate:
        """Return the parsed template.

        Raises:
            TemplateErrors: it names operations that this installation no longer has.
        """
        return parse_template(self.source, f"{self.template.slug} v{self.number}")

    def exported(self) -> str:
        """Return the canonical Markdown of this version; importing it gives an equal template."""
        return render(self.parsed())

    def publish(self, by: Actor) -> None:
        """Publish this version: deployments can be created from it, and it never changes again.

        Raises:
            Refusal: it is already published.
            TemplateErrors: it names operations that this installation no longer has.
        """
        self.parsed()
        now, name = timezone.now(), audit.actor_name(by)
        with transaction.atomic():
            changed = TemplateVersion.objects.filter(pk=self.pk, state=VersionState.DRAFT).update(
                state=VersionState.PUBLISHED, published_at=now, published_by_name=name
            )
            if changed != 1:
                raise Refusal(f"{self} is already published. Nothing was changed.")
            self.state, self.published_at, self.published_by_name = VersionState.PUBLISHED, now, name
            audit.append(Action.TEMPLATE_PUBLISHED, by=by, subject=self, data=self.facts)


def _require_slug(slug: str) -> None:
    try:
        validate_slug(slug)
    except ValidationError:
        raise InvalidInput(
            f"“{slug}” isn't a valid short name. Nothing was imported; use only letters, digits, - and _."
        ) from None
    if len(slug) > 60 or slug in RESERVED_SLUGS:
        raise InvalidInput(
            f"The short name “{slug}” is too long or reserved. Nothing was imported; choose another one."
        )
