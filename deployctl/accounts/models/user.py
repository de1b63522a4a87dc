"""People who sign in, their permissions and passwords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Lower
from django_otp.models import Device

from deployctl import audit
from deployctl.accounts import attempts, hooks, names, security_emails, temporary_passwords, timezones
from deployctl.accounts.models.grant import Grant
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.accounts.roles import Permission
from deployctl.audit import Action, Actor
from deployctl.errors import InvalidInput, Refusal

if TYPE_CHECKING:
    from deployctl.accounts.models.passkey import Passkey


class UserQuerySet(models.QuerySet["User"]):
    """The queryset of people."""

    def active(self) -> UserQuerySet:
        """Return people who can sign in."""
        return self.filter(is_active=True)

    def with_permission(self, permission: Permission) -> UserQuerySet:
        """Return active people who have a permission; administrators have them all."""
        if permission == Permission.VIEWER:
            return self.active()
        held = models.Q(grants__permission__in=[permission, Permission.ADMINISTRATOR])
        return self.active().filter(held).distinct()

    def matching(self, words: str) -> UserQuerySet:
        """Return people whose name or e-mail address contains `words`."""
        return self.filter(models.Q(name__icontains=words) | models.Q(email__icontains=words))

    def in_state(self, state: str) -> UserQuerySet:
        """Return people who are `active`, `disabled`, `without_factor` (and active) or `without_password`."""
        if state == "without_factor":
            return self.active().exclude(pk__in=self.enrolled().values("pk"))
        if state == "without_password":
            return self.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX)
        return self.filter(is_active=state == "active")

    def enrolled(self) -> UserQuerySet:
        """Return people who have a second factor of any kind."""
        has_app = models.Q(totp_factors__confirmed=True)
        return self.filter(has_app | models.Q(passkeys__isnull=False)).distinct()

    def with_enrollment(self) -> UserQuerySet:
        """Annotate people with `is_enrolled`: whether they have a second factor of any kind."""
        same = self.model._default_manager.enrolled().filter(pk=models.OuterRef("pk"))
        return self.annotate(is_enrolled=models.Exists(same))


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    """The manager of people."""

    def require_distinct_name(self, person: User) -> None:
        """Check that a person's name doesn't look like that of another active person.

        Raises:
            django.core.exceptions.ValidationError: it does.
        """
        others = self.active().exclude(pk=person.pk).values_list("name", flat=True)
        own = names.skeletons(person.name)
        if any(own & names.skeletons(other) for other in others):
            raise ValidationError(names.NAME_TAKEN)

    def get_by_natural_key(self, email: str | None) -> User:
        """Return the person with an e-mail address, ignoring its case."""
        person: User = self.get(email__iexact=email)
        return person

    @transaction.atomic
    def create_person(
        self,
        email: str,
        name: str,
        password: str | None,
        *,
        permissions: Iterable[Permission] = (),
        by: Actor,
        phone: str = "",
        timezone: str = "UTC",
        is_temporary: bool = False,
    ) -> User:
        """Create a person.

        Args:
            email: the address for signing in; stored in lower case.
            name: the name that appears next to signatures.
            password: None for a person who is invited or uses single sign-on.
            permissions: permissions to grant.
            by: the actor who adds the person.
            phone: the number for the emergency contacts.
            timezone: a name of the time zone database.
            is_temporary: whether the password is temporary (see `temporary_passwords`).

        Raises:
            InvalidInput: the address is invalid or taken, the name is missing or invalid, or the password is
                weak.
        """
        person: User = self.model(
            email=email.strip().lower(),
            name=name.strip(),
            phone=phone,
            timezone=timezone,
            temporary_password_until=temporary_passwords.valid_until(is_temporary=is_temporary),
        )
        _check(person, password)
        person.set_password(password)
        try:
            with transaction.atomic():
                person.save(force_insert=True)
        except IntegrityError:
            raise InvalidInput(f"Someone already uses the e-mail address {person.email}.") from None
        granted = [Permission(permission) for permission in dict.fromkeys(permissions)]
        audit.append(
            Action.PERSON_CREATED, by=by, subject=person, data={"email": person.email, "name": person.name}
        )
        for permission in granted:
            person.grant(permission, by=by)
        return person


class User(AbstractBaseUser):
    """A person who signs in by e-mail address. People are never deleted, because records refer to them."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=names.MAX_LENGTH, validators=[names.validate])
    phone = models.CharField(max_length=40, blank=True)
    timezone = models.CharField(max_length=60, default="UTC", validators=[timezones.validate])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # When a temporary password expires; None for the person's own password.
    temporary_password_until = models.DateTimeField(null=True, blank=True)
    # The last alerts about repeated failures (see `failed_login_alerts`).
    wrong_password_alerted_at = models.DateTimeField(null=True, blank=True)
    wrong_code_alerted_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[UserManager] = UserManager()
    otp_device: Device | None

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["name", "email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="one_person_per_address")]

    def __str__(self) -> str:
        return self.name

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Reload the row and clear the cached permissions."""
        self.__dict__.pop("_held", None)
        super().refresh_from_db(*args, **kwargs)

    @property
    def permissions(self) -> frozenset[str]:
        """Return the person's permissions, cached on the instance."""
        if "_held" not in self.__dict__:
            self.__dict__["_held"] = frozenset(grant.permission for grant in self.grants.all())
        held: frozenset[str] = self.__dict__["_held"]
        return held

    def may(self, permission: Permission) -> bool:
        """Return True if the person has a permission; administrators have all, and active people can view."""
        if not self.is_active:
            return False
        return (
            permission == Permission.VIEWER
            or permission in self.permissions
            or Permission.ADMINISTRATOR in self.permissions
        )

    @property
    def totp_factor(self) -> TotpFactor | None:
        """Return the person's active authenticator app, or None."""
        return TotpFactor.objects.filter(user=self, confirmed=True).first()

    @property
    def has_second_factor(self) -> bool:
        """Return True if the person has a second factor of any kind."""
        return self.is_verified() or self.totp_factor is not None or self.passkeys.exists()

    @property
    def should_enroll(self) -> bool:
        """Return True if the person has permissions that need a second factor, but doesn't have one."""
        return bool(self.permissions - {Permission.VIEWER}) and not self.has_second_factor

    @property
    def uses_single_sign_on(self) -> bool:
        """Return True if the person signs in at the single sign-on provider and has no password here."""
        return not self.has_usable_password() and self.socialaccount_set.exists()

    def is_verified(self) -> bool:
        """Return True if this session used a second factor; django-otp's middleware sets `otp_device`."""
        return getattr(self, "otp_device", None) is not None

    def verify_code(self, code: str) -> None:
        """Accept a one-time code; see `attempts.verify_code`."""
        attempts.verify_code(self, code)

    def verify_password_and_code(self, password: str, code: str) -> None:
        """Accept a password and a one-time code together; see `attempts.verify_password_and_code`."""
        attempts.verify_password_and_code(self, password, code)

    @transaction.atomic
    def grant(self, permission: Permission, *, by: Actor) -> None:
        """Grant a permission; do nothing if the person already has it."""
        _, new = Grant.objects.get_or_create(
            user=self, permission=permission, defaults={"granted_by_name": audit.actor_name(by)}
        )
        self.__dict__.pop("_held", None)
        if new:
            audit.append(Action.PERMISSION_GRANTED, by=by, subject=self, data={"permission": str(permission)})

    @transaction.atomic
    def revoke(self, permission: Permission, *, by: Actor) -> None:
        """Revoke a permission; do nothing if the person doesn't have it.

        Raises:
            Refusal: the person is the only active administrator.
        """
        if permission == Permission.ADMINISTRATOR:
            Grant.objects.require_another_administrator(self)
        deleted, _ = self.grants.filter(permission=permission).delete()
        self.__dict__.pop("_held", None)
        if deleted:
            audit.append(Action.PERMISSION_REVOKED, by=by, subject=self, data={"permission": str(permission)})

    @transaction.atomic
    def set_permissions(self, permissions: Iterable[Permission], *, by: Actor) -> None:
        """Grant and revoke permissions so that the person has exactly these.

        Raises:
            Refusal: the person is the only active administrator; nothing was changed.
        """
        new = {Permission(permission) for permission in permissions} - {Permission.VIEWER}
        # All rows are locked before the first audit entry (see `Entry.objects.append`).
        User.objects.select_for_update(no_key=True).get(pk=self.pk)
        if Permission.ADMINISTRATOR not in new:
            Grant.objects.require_another_administrator(self)
        for permission in Permission:
            if permission in new:
                self.grant(permission, by=by)
            else:
                self.revoke(permission, by=by)

    @transaction.atomic
    def disable(self, *, by: Actor) -> None:
        """Disable the account and end the person's sessions; their records stay.

        Raises:
            Refusal: the account is already disabled, is the actor's own, or is the only active
                administrator's.
        """
        if audit.actor_user(by) == self:
            raise Refusal("You can't disable your own account. Ask another administrator.")
        Grant.objects.require_another_administrator(self)
        if not User.objects.filter(pk=self.pk, is_active=True).update(is_active=False):
            raise Refusal(f"The account of {self.name} is already disabled. Nothing was changed.")
        self.is_active = False
        self.sign_ins.end_all("disabled")
        audit.append(Action.PERSON_DISABLED, by=by, subject=self)

    @transaction.atomic
    def enable(self, *, by: Actor) -> None:
        """Re-enable the account.

        Raises:
            Refusal: the account isn't disabled.
        """
        if not User.objects.filter(pk=self.pk, is_active=False).update(is_active=True):
            raise Refusal(f"The account of {self.name} isn't disabled. Nothing was changed.")
        self.is_active = True
        audit.append(Action.PERSON_ENABLED, by=by, subject=self)

    @transaction.atomic
    def edit(self, *, by: Actor, **changes: str) -> None:
        """Change the name, phone number or time zone.

        Args:
            by: the actor.
            changes: new values of `name`, `phone` and `timezone`.

        Raises:
            InvalidInput: a value is invalid, or the new name looks like another person's.
        """
        if unknown := changes.keys() - {"name", "phone", "timezone"}:
            raise TypeError(f"fields that can't be edited: {', '.join(sorted(unknown))}")
        before = {field: getattr(self, field) for field in changes}
        for field, value in changes.items():
            setattr(self, field, value.strip())
        try:
            self.clean_fields(exclude={"password", "email"})
            if self.name != before.get("name", self.name):
                User.objects.require_distinct_name(self)
        except ValidationError as error:
            for field, value in before.items():
                setattr(self, field, value)
            raise InvalidInput(" ".join(error.messages)) from None
        after = {field: getattr(self, field) for field in changes}
        if after != before:
            self.save(update_fields=list(changes))
            if self.name != before.get("name", self.name):
                hooks.person_renamed.send(self, by, before["name"])
            audit.append(Action.PERSON_EDITED, by=by, subject=self, data={"before": before, "after": after})

    @transaction.atomic
    def change_password(
        self, password: str, *, by: Actor, keep: int | None = None, is_temporary: bool = False
    ) -> None:
        """Set a new password and end the person's sessions.

        Args:
            password: the new password, already validated.
            by: the actor.
            keep: the primary key of the `SignIn` to keep.
            is_temporary: whether the password is temporary (see `temporary_passwords`).
        """
        self.set_password(password)
        self.temporary_password_until = temporary_passwords.valid_until(is_temporary=is_temporary)
        self.save(update_fields=["password", "temporary_password_until"])
        self.sign_ins.end_all("password changed", keep=keep)
        security_emails.send_on_commit(audit.append(Action.PASSWORD_CHANGED, by=by, subject=self))

    @transaction.atomic
    def renew_recovery_codes(self, *, by: Actor) -> list[str]:
        """Replace the unused recovery codes.

        Returns:
            The new codes, to be shown once.
        """
        codes = RecoveryCode.objects.renew(self)
        audit.append(Action.RECOVERY_CODES_REGENERATED, by=by, subject=self)
        return codes

    @transaction.atomic
    def remove_second_factor(self, *, by: Actor, reason: str) -> None:
        """Remove all second factors that the person has lost; they set up a new one after signing in.

        Args:
            by: the administrator.
            reason: how the administrator verified the person's identity.

        Raises:
            InvalidInput: the reason is missing.
            Refusal: the person has no second factor.
        """
        if not reason.strip():
            raise InvalidInput("Describe how you verified the person's identity.")
        removed, _ = TotpFactor.objects.filter(user=self).delete()
        passkeys, _ = self.passkeys.all().delete()
        if not removed and not passkeys:
            raise Refusal(f"{self.name} doesn't have a second factor. Nothing was changed.")
        self.recovery_codes.unused().delete()
        self.sign_ins.end_all("second factor removed")
        data = {"reason": reason.strip()} | ({"passkeys": str(passkeys)} if passkeys else {})
        security_emails.send_on_commit(audit.append(Action.FACTOR_REMOVED, by=by, subject=self, data=data))

    @transaction.atomic
    def remove_passkey(self, passkey: Passkey, *, by: Actor) -> None:
        """Remove a passkey; sessions that used it need another second factor for their next sensitive action.

        Raises:
            Refusal: it is the person's last second factor.
        """
        # Locked, because two concurrent requests must not remove the last two.
        User.objects.select_for_update(no_key=True).get(pk=self.pk)
        if self.totp_factor is None and not self.passkeys.exclude(pk=passkey.pk).exists():
            raise Refusal(
                f"“{passkey.name}” is your last second factor. Nothing was changed."
                " Set up another one, then remove this one."
            )
        name = passkey.name
        self.passkeys.filter(pk=passkey.pk).delete()
        data = {"passkey": name}
        security_emails.send_on_commit(audit.append(Action.PASSKEY_REMOVED, by=by, subject=self, data=data))

    @transaction.atomic
    def end_sessions(self, *, by: Actor, keep: int | None = None) -> int:
        """End the person's sessions.

        Args:
            by: the actor.
            keep: the primary key of the `SignIn` to keep.

        Returns:
            The number of sessions that were ended.
        """
        ended = self.sign_ins.open().end_all("signed out remotely", keep=keep)
        if ended:
            audit.append(Action.SESSIONS_ENDED, by=by, subject=self, data={"ended": ended})
        return ended


def _check(person: User, password: str | None) -> None:
    """Validate a new person; raise InvalidInput as described in `create_person`."""
    if not person.name:
        raise InvalidInput("Enter a name; it appears next to signatures.")
    try:
        validate_email(person.email)
    except ValidationError:
        raise InvalidInput(f"{person.email!r} isn't a valid e-mail address.") from None
    try:
        person.clean_fields(exclude={"password"})
        if password is not None:
            validate_password(password, person)
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from None
