"""A person who signs in; how to find and add people."""

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
    """People by what they may do."""

    def active(self) -> UserQuerySet:
        """People who may sign in."""
        return self.filter(is_active=True)

    def holding(self, permission: Permission) -> UserQuerySet:
        """Active people who hold a permission; administrators hold them all."""
        if permission == Permission.VIEWER:
            return self.active()
        held = models.Q(grants__permission__in=[permission, Permission.ADMINISTRATOR])
        return self.active().filter(held).distinct()

    def matching(self, words: str) -> UserQuerySet:
        """People whose name or address contains these words."""
        return self.filter(models.Q(name__icontains=words) | models.Q(email__icontains=words))

    def in_state(self, state: str) -> UserQuerySet:
        """People who are `active`, `disabled`, `without_factor` (and active) or `without_password`."""
        if state == "without_factor":
            return self.active().exclude(pk__in=self.enrolled().values("pk"))
        if state == "without_password":
            return self.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX)
        return self.filter(is_active=state == "active")

    def enrolled(self) -> UserQuerySet:
        """People who have a second factor of any kind."""
        has_app = models.Q(totp_factors__confirmed=True)
        return self.filter(has_app | models.Q(passkeys__isnull=False)).distinct()

    def with_enrollment(self) -> UserQuerySet:
        """Each with `is_enrolled`: whether they have a second factor of any kind."""
        same = self.model._default_manager.enrolled().filter(pk=models.OuterRef("pk"))
        return self.annotate(is_enrolled=models.Exists(same))


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    """People by e-mail address."""

    def require_no_namesake(self, person: User) -> None:
        """Refuse a name that looks like that of another active person, who would seem to have signed.

        Raises:
            django.core.exceptions.ValidationError: it does.
        """
        others = self.active().exclude(pk=person.pk).values_list("name", flat=True)
        own = names.skeletons(person.name)
        if any(own & names.skeletons(other) for other in others):
            raise ValidationError(names.NAMESAKE)

    def get_by_natural_key(self, email: str | None) -> User:
        """The person with this address, whatever its case."""
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
        """Add a person who can sign in.

        Args:
            email: the address that they sign in with; kept in lower case.
            name: as it is printed beside their signatures.
            password: the first one; None for a person who is invited to choose one.
            permissions: what they may do on the site besides viewing.
            by: who adds them.
            phone: for the emergency contacts.
            timezone: a name of the time zone database.
            is_temporary: whether somebody hands the password to the person, who must replace it
                (`first_passwords`).

        Raises:
            InvalidInput: the address is none or is taken, the name is missing or holds what is
                not seen, the password is too weak.
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
            raise InvalidInput(f"There is a person with the address {person.email} already.") from None
        granted = [Permission(permission) for permission in dict.fromkeys(permissions)]
        audit.append(
            Action.PERSON_CREATED, by=by, subject=person, data={"email": person.email, "name": person.name}
        )
        for permission in granted:
            person.grant(permission, by=by)
        return person


class User(AbstractBaseUser):
    """A person, known by e-mail address. Never deleted: what they signed and did keeps naming them."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=names.LONGEST, validators=[names.validate])
    phone = models.CharField(max_length=40, blank=True)
    timezone = models.CharField(max_length=60, default="UTC", validators=[timezones.validate])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Of a password that somebody else has seen: until when it lets in. None for one of the person's own.
    temporary_password_until = models.DateTimeField(null=True, blank=True)
    # When the person was last told of repeated failures (`failures`).
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
        """Read the row again, and forget which permissions were held."""
        self.__dict__.pop("_held", None)
        super().refresh_from_db(*args, **kwargs)

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions given to the person, as they were when first asked of this instance."""
        if "_held" not in self.__dict__:
            self.__dict__["_held"] = frozenset(grant.permission for grant in self.grants.all())
        held: frozenset[str] = self.__dict__["_held"]
        return held

    def may(self, permission: Permission) -> bool:
        """Whether the person holds a permission; administrators hold them all, active people may view."""
        if not self.is_active:
            return False
        return (
            permission == Permission.VIEWER
            or permission in self.permissions
            or Permission.ADMINISTRATOR in self.permissions
        )

    @property
    def factor(self) -> TotpFactor | None:
        """The second factor that counts, or None before enrollment."""
        return TotpFactor.objects.filter(user=self, confirmed=True).first()

    @property
    def has_factor(self) -> bool:
        """Whether a second factor is enrolled, of whichever kind."""
        return self.is_verified() or self.factor is not None or self.passkeys.exists()

    @property
    def should_enroll(self) -> bool:
        """Whether a second factor is missing that the person's permissions will ask for."""
        return bool(self.permissions - {Permission.VIEWER}) and not self.has_factor

    @property
    def uses_single_sign_on(self) -> bool:
        """Whether the person has no password here, and proves who they are at the single sign-on provider."""
        return not self.has_usable_password() and self.socialaccount_set.exists()

    def is_verified(self) -> bool:
        """Whether this session gave a one-time code; django-otp's middleware loads `otp_device`."""
        return getattr(self, "otp_device", None) is not None

    def verify_code(self, code: str) -> None:
        """Accept a one-time code of the person's authenticator, once ever; see `attempts.verify_code`."""
        attempts.verify_code(self, code)

    def verify_password_and_code(self, password: str, code: str) -> None:
        """Accept both together, as a signature needs them; see `attempts.verify_password_and_code`."""
        attempts.verify_password_and_code(self, password, code)

    @transaction.atomic
    def grant(self, permission: Permission, *, by: Actor) -> None:
        """Give the person a permission; one that they hold already changes nothing."""
        _, new = Grant.objects.get_or_create(
            user=self, permission=permission, defaults={"granted_by_name": audit.actor_name(by)}
        )
        self.__dict__.pop("_held", None)
        if new:
            audit.append(Action.PERMISSION_GRANTED, by=by, subject=self, data={"permission": str(permission)})

    @transaction.atomic
    def revoke(self, permission: Permission, *, by: Actor) -> None:
        """Take a permission from the person; one that they do not hold changes nothing.

        Raises:
            Refusal: nobody else could administer the site then.
        """
        if permission == Permission.ADMINISTRATOR:
            Grant.objects.require_another_administrator(self)
        taken, _ = self.grants.filter(permission=permission).delete()
        self.__dict__.pop("_held", None)
        if taken:
            audit.append(Action.PERMISSION_REVOKED, by=by, subject=self, data={"permission": str(permission)})

    @transaction.atomic
    def hold(self, permissions: Iterable[Permission], *, by: Actor) -> None:
        """Give and take permissions until the person holds exactly these, or none of it where one is refused.

        Raises:
            Refusal: nobody else could administer the site then.
        """
        wanted = {Permission(permission) for permission in permissions} - {Permission.VIEWER}
        # Every row lock before the first audit entry (see `Entry.objects.append`).
        User.objects.select_for_update(no_key=True).get(pk=self.pk)
        if Permission.ADMINISTRATOR not in wanted:
            Grant.objects.require_another_administrator(self)
        for permission in Permission:
            if permission in wanted:
                self.grant(permission, by=by)
            else:
                self.revoke(permission, by=by)

    @transaction.atomic
    def disable(self, *, by: Actor) -> None:
        """Shut the person out at once; everything they did stays.

        Raises:
            Refusal: the person is disabled already, is the one who asks, or is the last administrator.
        """
        if audit.actor_user(by) == self:
            raise Refusal("You cannot disable yourself. Ask another administrator.")
        Grant.objects.require_another_administrator(self)
        if not User.objects.filter(pk=self.pk, is_active=True).update(is_active=False):
            raise Refusal(f"{self.name} is disabled already. Nothing was changed.")
        self.is_active = False
        self.sign_ins.end_all("disabled")
        audit.append(Action.PERSON_DISABLED, by=by, subject=self)

    @transaction.atomic
    def enable(self, *, by: Actor) -> None:
        """Let the person in again.

        Raises:
            Refusal: the person is not disabled.
        """
        if not User.objects.filter(pk=self.pk, is_active=False).update(is_active=True):
            raise Refusal(f"{self.name} is not disabled. Nothing was changed.")
        self.is_active = True
        audit.append(Action.PERSON_ENABLED, by=by, subject=self)

    @transaction.atomic
    def edit(self, *, by: Actor, **changes: str) -> None:
        """Change name, phone or time zone.

        Args:
            by: who changes it.
            changes: `name`, `phone`, `timezone`.

        Raises:
            InvalidInput: a value cannot be used, or the new name is another person's.
        """
        if unknown := changes.keys() - {"name", "phone", "timezone"}:
            raise TypeError(f"not to be edited here: {', '.join(sorted(unknown))}")
        before = {field: getattr(self, field) for field in changes}
        for field, value in changes.items():
            setattr(self, field, value.strip())
        try:
            self.clean_fields(exclude={"password", "email"})
            if self.name != before.get("name", self.name):
                User.objects.require_no_namesake(self)
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
        """Set another password and end the person's sessions.

        Args:
            password: the new one, already checked against the site's rules.
            by: who changes it.
            keep: the `SignIn` of the session that stays.
            is_temporary: whether somebody hands it to the person, who must replace it (`first_passwords`).
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
            the new ones, to show this once.
        """
        codes = RecoveryCode.objects.renew(self)
        audit.append(Action.RECOVERY_CODES_REGENERATED, by=by, subject=self)
        return codes

    @transaction.atomic
    def remove_factor(self, *, by: Actor, reason: str) -> None:
        """Take away a second factor that the person has lost; they enroll another after signing in.

        Args:
            by: the administrator.
            reason: how they made sure that it is the person who asks.

        Raises:
            InvalidInput: no reason is given.
            Refusal: the person has none.
        """
        if not reason.strip():
            raise InvalidInput("Say how you made sure that it is really this person who asks.")
        removed, _ = TotpFactor.objects.filter(user=self).delete()
        passkeys, _ = self.passkeys.all().delete()
        if not removed and not passkeys:
            raise Refusal(f"{self.name} has no second factor. Nothing was changed.")
        self.recovery_codes.unused().delete()
        self.sign_ins.end_all("second factor removed")
        data = {"reason": reason.strip()} | ({"passkeys": str(passkeys)} if passkeys else {})
        security_emails.send_on_commit(audit.append(Action.FACTOR_REMOVED, by=by, subject=self, data=data))

    @transaction.atomic
    def remove_passkey(self, passkey: Passkey, *, by: Actor) -> None:
        """Remove a passkey; sessions that were opened with it end with their next privileged act.

        Raises:
            Refusal: it is the person's last second factor.
        """
        # Two at once must not remove the last two.
        User.objects.select_for_update(no_key=True).get(pk=self.pk)
        if self.factor is None and not self.passkeys.exclude(pk=passkey.pk).exists():
            raise Refusal(
                f"“{passkey.name}” is the last second factor. Nothing was changed."
                " Set up another one first, then remove this one."
            )
        name = passkey.name
        self.passkeys.filter(pk=passkey.pk).delete()
        data = {"passkey": name}
        security_emails.send_on_commit(audit.append(Action.PASSKEY_REMOVED, by=by, subject=self, data=data))

    @transaction.atomic
    def end_sessions(self, *, by: Actor, keep: int | None = None) -> int:
        """Sign the person out everywhere.

        Args:
            by: who asks for it.
            keep: the `SignIn` of the session that stays.

        Returns:
            how many sessions were ended.
        """
        ended = self.sign_ins.open().end_all("signed out remotely", keep=keep)
        if ended:
            audit.append(Action.SESSIONS_ENDED, by=by, subject=self, data={"ended": ended})
        return ended


def _check(person: User, password: str | None) -> None:
    """Refuse what cannot be used, with a sentence.

    Raises:
        InvalidInput: see `create_person`.
    """
    if not person.name:
        raise InvalidInput("A person needs a name: it is printed beside their signatures.")
    try:
        validate_email(person.email)
    except ValidationError:
        raise InvalidInput(f"{person.email!r} is not an e-mail address.") from None
    try:
        person.clean_fields(exclude={"password"})
        if password is not None:
            validate_password(password, person)
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from None
