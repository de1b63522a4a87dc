"""Fixtures: a target, a template version and a deployment with a team."""

from __future__ import annotations

import pytest

from checklists.models import Deployment, TemplateVersion
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from tests.checklists import factories


@pytest.fixture
def target(db: None) -> Target:
    return factories.a_target()


@pytest.fixture
def version(db: None) -> TemplateVersion:
    return factories.published()


@pytest.fixture
def deployment(
    target: Target, version: TemplateVersion, dba: User, devops_lead: User, qa_lead: User
) -> Deployment:
    return factories.plan(target, version, factories.team_of(dba, devops_lead, qa_lead))
