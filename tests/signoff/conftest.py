"""The fixture of a deployment that is ready for its first signatures."""

from __future__ import annotations

import pytest

from checklists.models import Deployment
from deployctl.accounts.models import User
from tests.checklists import factories
from tests.signoff.signing import complete_items


@pytest.fixture
def deployment(dba: User, devops_lead: User, qa_lead: User) -> Deployment:
    planned = factories.plan(
        factories.a_target(), factories.published(), factories.team_of(dba, devops_lead, qa_lead)
    )
    complete_items(planned, "pre")
    return planned
