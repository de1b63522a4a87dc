"""Targets: PostgreSQL databases with their environment, connection, project, people and secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Lower, Now

from deployctl import audit
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.audit import Actor, Machine, actor_name
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, Refusal
from deployctl.operations.application.project import Project
from deployctl.postgres.connection import ConnectionSpec, parse_url
from deployctl.runs import allowed_paths, hooks
from deployctl.runs.permissions import backup_transfer_filter, may_see, require_administrator
from deployctl.secrets import Secret, SecretError
from deployctl.storage import LocalFolder
from deployctl.web.live import announce

# Names are part of URLs, folder names and file names.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
RESERVED_NAMES = frozenset({"new"})
# The signers of a deployment approve the values of these fields.
IDENTIFYING = ("environment", "connection_reference", "project_folder")
CONNECTION_CHECK = Machine("connection check")


class Environment(models.TextChoices):
    """The environment of a target. Changes to `production` need a deployment or two people."""

    DEVELOPMENT = "development", "Development"
    STAGING = "staging", "Staging"
    PRODUCTION = "production", "Production"


class TargetQuerySet(models.QuerySet["Target"]):
    """Targets, by permission and state."""

    def visible_to(self, user: Any) -> TargetQuerySet:
        """Return the targets that a user may see (`runs.permissions` decides)."""
        return self.all() if may_see(user) else self.none()

    def with_transferable_backups(self, user: User) -> TargetQuerySet:
        """Return the targets whose backups a user may download and upload."""
        return self.filter(backup_transfer_filter(user))

    def current(self) -> TargetQuerySet:
        """Return the targets that are not archived."""
        return self.filter(archived_at=None)

    def with_newest(self) -> TargetQuerySet:
        """Prefetch the newest run and backup of each, as `newest_runs` and `newest_backups`."""
        return self.prefetch_related(
            *(
                models.Prefetch(related, to_attr=f"newest_{related}", queryset=_newest(self.model, related))
                for related in ("runs", "backups")
            )
        )

    def by_name(self, name: str) -> Target:
        """Return the current target with a name, case-insensitive.

        Raises:
            InvalidInput: there is none; the message lists the known names.
        """
        try:
            return self.current().get(name__iexact=name)
        except self.model.DoesNotExist:
            known = ", ".join(self.current().values_list("name", flat=True)) or "none yet"
            raise InvalidInput(f"There is no target “{name}”. Known targets: {known}.") from None


def _newest(model: type[models.Model], related: str) -> models.QuerySet[Any]:
    """Return the newest related row; Django turns a sliced prefetch into a window function per target."""
    related_model: Any = model._meta.get_field(related).related_model
    rows: models.QuerySet[Any] = related_model.objects.order_by("-pk")[:1]
    return rows


class Target(models.Model):
    """A database that deployctl manages. It stores a reference to the connection URL, never the URL."""

    name = models.SlugField(max_length=60)
    environment = models.CharField(max_length=20, choices=Environment.choices)
    description = models.CharField(max_length=300, blank=True)
    connection_reference = models.CharField(max_length=300)
    project_folder = models.CharField(max_length=500, blank=True)
    # The target identity; a name does not identify a database.
    system_identifier = models.CharField(max_length=40, blank=True)
    database_oid = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by_name = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Target]] = models.Manager.from_queryset(TargetQuerySet)()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="target_name_unique")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    @transaction.atomic
    def add(
        cls,
        *,
        name: str,
        environment: str,
        connection_reference: str,
        by: Actor,
        description: str = "",
        project_folder: str = "",
    ) -> Target:
        """Add a target without reading its database or secret.

        Args:
            name: lowercase letters, digits, `-` and `_`; part of URLs and backup names.
            environment: a value of `Environment`.
            connection_reference: for example `env:DATABASE_URL`.
            by: an administrator, or the command line.
            description: one line.
            project_folder: the project of the application, below an allowed folder, or "".

        Raises:
            InvalidInput, SecretError: an argument is invalid.
            Refusal: the name is taken.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        if not NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise InvalidInput(
                f"“{name}” isn't a valid target name. Use up to 60 lowercase letters, digits, - and _, "
                f"starting with a letter or digit. Reserved: {', '.join(RESERVED_NAMES)}."
            )
        _check(environment, connection_reference, project_folder)
        try:
            with transaction.atomic():
                target = cls.objects.create(
                    name=name,
                    environment=environment,
                    description=description,
                    connection_reference=connection_reference,
                    project_folder=project_folder,
                    created_by_name=actor_name(by),
                )
        except IntegrityError:
            raise Refusal(
                f"A target named {name} already exists. Nothing was added. Choose another name."
            ) from None
        audit.append(Action.TARGET_ADDED, by=by, subject=target, data=target.facts())
        target.announce()
        return target

    @transaction.atomic
    def edit(
        self, *, environment: str, connection_reference: str, by: Actor, description: str, project_folder: str
    ) -> None:
        """Change the settings, except the name, which backups and history contain.

        Raises:
            InvalidInput, SecretError, NotAllowed: as for `add`.
        """
        require_administrator(by)
        _check(environment, connection_reference, project_folder)
        before = self.facts()
        is_other_connection = connection_reference != self.connection_reference
        self.environment, self.description = environment, description
        self.connection_reference, self.project_folder = connection_reference, project_folder
        if is_other_connection:  # may be another database; the next check records its identity
            self.system_identifier, self.database_oid = "", None
        self.save(update_fields=[*(before.keys() - {"name"}), "system_identifier", "database_oid"])
        if changed := [field for field in IDENTIFYING if before[field] != getattr(self, field)]:
            what = ", ".join(changed).replace("_", " ")
            hooks.target_changed.send(self, by, f"{what} changed")
        audit.append(
            Action.TARGET_EDITED, by=by, subject=self, data={"before": before, "after": self.facts()}
        )
        self.announce()

    @transaction.atomic
    def archive(self, by: Actor) -> None:
        """Archive the target; its history stays.

        Raises:
            Refusal: it is archived already, or has an unfinished run.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        if busy := self.runs.unfinished().first():
            raise Refusal(
                f"Run {busy.pk} on {self} hasn't ended. Nothing was changed. "
                "Wait for it to end, or cancel it."
            )
        if Target.objects.current().filter(pk=self.pk).update(archived_at=Now()) != 1:
            raise Refusal(f"{self} is already archived.")
        self.refresh_from_db(fields=["archived_at"])
        audit.append(Action.TARGET_ARCHIVED, by=by, subject=self)
        self.announce()

    # --- People and secrets ---------------------------------------------------------------------------

    @property
    def role_assignments(self) -> models.QuerySet[TargetRole]:
        """The roles of the target with their users."""
        return self.roles.select_related("user")

    def role_holders(self, role: str) -> list[User]:
        """Return the active users who hold a role for this target."""
        return [
            assignment.user for assignment in self.role_assignments.filter(role=role, user__is_active=True)
        ]

    @transaction.atomic
    def assign(self, user: User, role: str, *, by: Actor) -> None:
        """Give a user a role for this target, unless they have it.

        Raises:
            InvalidInput: the role is unknown.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        if role not in Role.values:
            raise InvalidInput(f"There is no role “{role}”. Use one of: {', '.join(Role.values)}.")
        _, is_new = self.roles.get_or_create(user=user, role=role)
        if is_new:
            audit.append(
                Action.TARGET_ROLE_ASSIGNED, by=by, subject=self, data={"person": user.email, "role": role}
            )
            self.announce()

    @transaction.atomic
    def unassign(self, user: User, role: str, *, by: Actor) -> None:
        """Remove a role from a user.

        Raises:
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        removed, _ = self.roles.filter(user=user, role=role).delete()
        if removed:
            audit.append(
                Action.TARGET_ROLE_REMOVED, by=by, subject=self, data={"person": user.email, "role": role}
            )
            self.announce()

    @transaction.atomic
    def set_secret_reference(self, name: str, reference: str, *, by: Actor) -> None:
        """Set the reference of a secret that operations read by name, such as `ADMIN_DEFAULT_PASSWORD`.

        Args:
            name: the name that the project uses.
            reference: for example `env:NAME`; "" removes it.

        Raises:
            InvalidInput, SecretError, NotAllowed: as for `add`.
        """
        require_administrator(by)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
            raise InvalidInput(
                f"“{name}” isn't a valid secret name. Use letters, digits and _, not starting with a digit."
            )
        if reference:
            allowed_paths.check_reference(reference)
            self.secrets.update_or_create(name=name, defaults={"reference": reference})
        else:
            self.secrets.filter(name=name).delete()
        data = {"name": name, "reference": reference}
        audit.append(Action.TARGET_SECRET_REFERENCE_SET, by=by, subject=self, data=data)
        self.announce()

    def secret(self, name: str) -> Secret:
        """Return the value of a secret of this target.

        Raises:
            SecretError: the name is unknown, or its source has no value.
        """
        referred = self.secrets.filter(name=name).first()
        if referred is None:
            raise SecretError(
                f"{self} has no secret {name}. Add its reference in the target's settings, "
                "such as env:… or file:…"
            )
        return allowed_paths.resolve_reference(referred.reference)

    # --- The database ---------------------------------------------------------------------------------

    def spec(self) -> ConnectionSpec:
        """Return the connection with its password, which is read now and not stored.

        Raises:
            SecretError, InvalidInput, InvalidConnectionURL: the reference or URL is unusable.
        """
        return parse_url(allowed_paths.resolve_reference(self.connection_reference).reveal())

    def project(self) -> Project | None:
        """Return the project described by its `deployctl.toml`, None if the target has no project folder.

        Raises:
            DeployctlError: the file is invalid; the message names file and key.
        """
        if not self.project_folder:
            return None
        return Project.load(Path(self.project_folder), settings.DEPLOYCTL_PROJECT_ROOTS)

    def backup_folder(self) -> LocalFolder:
        """Return the folder of this target's backups."""
        return LocalFolder(settings.DEPLOYCTL_BACKUPS / self.name)

    @transaction.atomic
    def check_identity(self, system_identifier: str, database_oid: int) -> bool:
        """Return True if a database is the target's. The identity of the first database seen is recorded.

        Args:
            system_identifier: the cluster's, "" if the role may not read it.
            database_oid: the database's OID.
        """
        identity = {"system_identifier": system_identifier, "database_oid": database_oid}
        is_first = Target.objects.filter(pk=self.pk, database_oid=None).update(**identity)
        self.refresh_from_db(fields=list(identity))
        if is_first:
            hooks.target_changed.send(self, CONNECTION_CHECK, "its identity was recorded")
        return (self.system_identifier, self.database_oid) == (system_identifier, database_oid)

    def facts(self) -> dict[str, str]:
        """Return the fields that the audit records; references are not secret."""
        names = ("name", "environment", "description", "connection_reference", "project_folder")
        return {field: getattr(self, field) for field in names}

    def announce(self) -> None:
        """Make open pages reload their data about this target."""
        announce(f"target:{self.name}", f"target-{self.pk}")
        announce("home", "home-targets")


class TargetRole(models.Model):
    """A person's role for a target: a contact, and a possible signer of its deployments."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="roles")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="target_roles")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        ordering = ["role", "user__name"]
        constraints = [models.UniqueConstraint(fields=["target", "user", "role"], name="target_role_once")]

    def __str__(self) -> str:
        return f"{self.target}: {self.user} is {self.get_role_display()}"


class TargetSecret(models.Model):
    """The reference of a secret that operations read by name, such as `ADMIN_DEFAULT_PASSWORD`."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="secrets")
    name = models.CharField(max_length=100)
    reference = models.CharField(max_length=300)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["target", "name"], name="target_secret_once")]

    def __str__(self) -> str:
        return f"{self.target}: {self.name}"


def _check(environment: str, connection_reference: str, project_folder: str) -> None:
    if environment not in Environment.values:
        raise InvalidInput(
            f"“{environment}” isn't an environment. Use one of: {', '.join(Environment.values)}."
        )
    allowed_paths.check_reference(connection_reference)
    allowed_paths.check_project_folder(project_folder)
