"""E-mail reminders of pending signatures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.utils import timezone

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from signoff import reminders
from signoff.models import Reminder
from tests.checklists import factories
from tests.signoff.signing import MACHINE, sign


def test_people_with_pending_signatures_are_reminded_once_a_day(
    deployment: Deployment,
    dba: User,
    devops_lead: User,
    qa_lead: User,
    cto: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_URL", "https://deployctl.example.org")
    assert reminders.remind_all() == 2
    assert [message.to for message in mail.outbox] == [[dba.email], [devops_lead.email]]
    text = mail.outbox[0].body
    assert "Shop goes live (shop): Approval, as Database Administrator" in text
    assert f"https://deployctl.example.org/deployments/{deployment.pk}/gates/pre/?slot=" in text
    assert reminders.remind_all() == 0
    assert len(mail.outbox) == 2
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr("signoff.reminders.timezone.now", lambda: tomorrow)
    sign(deployment, dba, Role.DBA)
    assert reminders.remind_all() == 1
    assert [row.email for row in Reminder.objects.all()] == [dba.email, devops_lead.email, devops_lead.email]


def test_nobody_is_reminded_while_the_gate_has_blockers(deployment: Deployment) -> None:
    factories.item(deployment, "Server").undo(MACHINE)
    assert reminders.remind_all() == 0
    assert mail.outbox == []


def test_without_email_no_reminders_are_recorded(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
    assert reminders.remind_all() == 0
    assert not Reminder.objects.exists()


def test_a_failed_email_is_retried(
    deployment: Deployment, dba: User, devops_lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ConnectionRefusedError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr("signoff.reminders.send_mail", fail)
        assert reminders.remind_all() == 0
    assert not Reminder.objects.exists()
    assert reminders.remind_all() == 2
