"""Finding and adding people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, models, transaction

from deployctl import audit
from deployctl.accounts import first_passwords, names
from deployctl.accounts.roles import Permission
from deployctl.audit import Action, Actor
from deployctl.errors import InvalidInput

if TYPE_CHECKING:
    from deployctl.accounts.models import User


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

    def with_enrolment(self) -> UserQuerySet:
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
        handed_over: bool = False,
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
            handed_over: whether somebody hands the password to the person, who must replace it
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
            first_password_until=first_passwords.good_until(handed_over=handed_over),
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
