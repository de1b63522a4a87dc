"""Fixtures for people: one for each role, and an outsider without permissions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit import Machine

PASSWORD = "correct horse battery staple"


def person(name: str, *permissions: Permission) -> User:
    """Create a person with permissions and an e-mail address derived from the name."""
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
    """`signed_in(user)` returns a client that is signed in, with the second factor if the person has one."""
    from deployctl.accounts.testing import sign_in

    def make(user: User, **options: Any) -> Client:
        client = Client()
        sign_in(client, user, **options)
        return client

    return make
