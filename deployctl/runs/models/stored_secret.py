"""Secrets stored in our database, encrypted with a key that is not in the database."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction

from deployctl import audit
from deployctl.accounts import crypto
from deployctl.audit import Actor, actor_name
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, Refusal
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import require_administrator
from deployctl.secrets import SecretError
from deployctl.secrets.sources import stored

MAX_LENGTH = 65536  # characters, as for a `file:` secret


class StoredSecret(models.Model):
    """An encrypted secret named `<target>/<name>`. Only `read` returns its value."""

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="stored_secrets")
    name = models.CharField(max_length=200, unique=True)
    token = models.TextField()
    stored_at = models.DateTimeField(auto_now=True)
    stored_by_name = models.CharField(max_length=200)

    objects: ClassVar[models.Manager[StoredSecret]] = models.Manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        """The reference of the secret."""
        return f"{stored.Stored.scheme}:{self.name}"

    @classmethod
    @transaction.atomic
    def store(cls, target: Target, name: str, value: str, *, by: Actor) -> StoredSecret:
        """Store a value, replace an earlier one, and set the target's reference to it.

        Args:
            name: the name that operations use, such as `ADMIN_DEFAULT_PASSWORD`.
            value: the secret; a line break at its end is dropped.

        Raises:
            InvalidInput: the name or value is invalid.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        value = value.removesuffix("\n").removesuffix("\r")
        if not value or len(value) > MAX_LENGTH or "\0" in value:
            raise InvalidInput(f"A secret must have 1 to {MAX_LENGTH} characters. Nothing was stored.")
        key = f"{target.name}/{name}"
        target.set_secret_reference(name, f"{stored.Stored.scheme}:{key}", by=by)
        secret, _ = cls.objects.update_or_create(
            name=key,
            defaults={
                "target": target,
                "token": _encrypt(value, key),
                "stored_by_name": actor_name(by),
            },
        )
        # The audit records that a value was stored, not the value.
        audit.append(Action.TARGET_SECRET_STORED, by=by, subject=target, data={"name": name})
        return secret

    @classmethod
    @transaction.atomic
    def remove(cls, target: Target, name: str, *, by: Actor) -> None:
        """Remove the reference of a target's secret, and the value if it is stored here.

        Raises:
            Refusal: it is the connection URL of the target.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        secret = cls.objects.filter(target=target, name=f"{target.name}/{name}").first()
        if secret is not None and target.connection_reference == secret.reference:
            raise Refusal(
                f"{target} uses {secret.reference} as its connection reference. Nothing was removed. Change "
                "the target's connection reference first."
            )
        target.set_secret_reference(name, "", by=by)
        if secret is not None:
            secret.delete()

    @classmethod
    def read(cls, name: str) -> str:
        """Return a value, for the source `stored`.

        Raises:
            SecretError: the name is unknown, or no configured key decrypts the value.
        """
        row = cls.objects.filter(name=name).first()
        if row is None:
            raise SecretError(
                f"There is no stored secret {name}. Store it in the target's settings, or with "
                "`deployctl target secret TARGET NAME --stdin`."
            )
        return row._open()

    @classmethod
    @transaction.atomic
    def rotate(cls, *, by: Actor) -> int:
        """Re-encrypt every value with the first key of `DEPLOYCTL_FIELD_KEY`.

        Returns:
            The number of values.

        Raises:
            SecretError: no configured key decrypts a value; nothing was changed.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        rows = list(cls.objects.select_for_update())
        for row in rows:
            # `save` would change `stored_at`, but the value stays the same.
            cls.objects.filter(pk=row.pk).update(token=_encrypt(row._open(), row.name))
        audit.append(Action.SECRETS_ROTATED, by=by, data={"count": len(rows)})
        return len(rows)

    def _open(self) -> str:
        try:
            return crypto.decrypt(self.token, context=_context(self.name))
        except (crypto.DecryptionError, ImproperlyConfigured):
            raise SecretError(
                f"The stored secret {self.name} can't be decrypted: DEPLOYCTL_FIELD_KEY doesn't contain the "
                "key that encrypted it. Add that key after the current one, separated by a comma, or store "
                "the value again."
            ) from None


def _encrypt(value: str, name: str) -> str:
    return crypto.encrypt(value, context=_context(name))


def _context(name: str) -> str:
    return f"stored:{name}"
