"""A deployment to work with, and its people."""

from __future__ import annotations

import pytest

from checklists.models import Deployment, TemplateVersion
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from tests.checklists import deployments


@pytest.fixture
def target(db: None) -> Target:
    return deployments.a_target()


@pytest.fixture
def version(db: None) -> TemplateVersion:
    return deployments.published()


@pytest.fixture
def deployment(
    target: Target, version: TemplateVersion, dba: User, devops_lead: User, qa_lead: User
) -> Deployment:
    return deployments.plan(target, version, deployments.team_of(dba, devops_lead, qa_lead))
