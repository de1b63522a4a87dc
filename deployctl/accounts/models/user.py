"""A person who signs in."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from deployctl.accounts.roles import Permission


class UserManager(BaseUserManager["User"]):
    """People by e-mail address."""

    def get_by_natural_key(self, email: str | None) -> User:
        """The person with this address, whatever its case."""
        return self.get(email__iexact=email)


class User(AbstractBaseUser):
    """A person, known by e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150)
    phone = models.CharField(max_length=40, blank=True)
    timezone = models.CharField(max_length=60, default="UTC")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["name", "email"]

    def __str__(self) -> str:
        return self.name

    def may(self, permission: Permission) -> bool:
        """Whether the person holds a permission; administrators hold them all, active people may view."""
        if not self.is_active:
            return False
        held = {grant.permission for grant in self.grants.all()}
        return permission == Permission.VIEWER or permission in held or Permission.ADMINISTRATOR in held
