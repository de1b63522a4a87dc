"""The cast: one person per role of the user's document, and an outsider."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit import Machine

PASSWORD = "correct horse battery staple"


def person(name: str, *permissions: Permission) -> User:
    """A person with these permissions; the e-mail address follows from the name."""
    return User.objects.create_person(
        email=f"{name.lower().replace(' ', '.')}@example.org",
        name=name,
        password=PASSWORD,
        permissions=permissions,
        by=Machine("test"),
    )


@pytest.fixture
def dba(db: Any) -> User:
    return person("Dana Baker", Permission.OPERATOR, Permission.APPROVER)


@pytest.fixture
def devops_lead(db: Any) -> User:
    return person("Dev Opsworth", Permission.OPERATOR, Permission.APPROVER)


@pytest.fixture
def cto(db: Any) -> User:
    return person("Cora Tolland", Permission.APPROVER)


@pytest.fixture
def app_lead(db: Any) -> User:
    return person("Appa Leadbetter", Permission.APPROVER)


@pytest.fixture
def qa_lead(db: Any) -> User:
    return person("Quinn Adler", Permission.APPROVER)


@pytest.fixture
def administrator(db: Any) -> User:
    return person("Ada Minster", Permission.ADMINISTRATOR)


@pytest.fixture
def viewer(db: Any) -> User:
    return person("Vi Ewing", Permission.VIEWER)


@pytest.fixture
def outsider(db: Any) -> User:
    return person("Otto Side")


@pytest.fixture
def signed_in() -> Any:
    """`signed_in(user)` is a browser of that person, with the second factor given where there is one."""
    from deployctl.accounts.testing import sign_in

    def make(user: User, **options: Any) -> Client:
        client = Client()
        sign_in(client, user, **options)
        return client

    return make
