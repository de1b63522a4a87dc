"""The fixtures of a signed deployment and its evidence pack."""

from __future__ import annotations

import pytest

from checklists.models import Deployment
from deployctl.accounts.models import User
from signoff.models import EvidencePack
from tests.checklists.factories import item
from tests.signoff.conftest import deployment  # noqa: F401 (fixture)
from tests.signoff.signing import MACHINE, sign


@pytest.fixture
def signed(deployment: Deployment, dba: User, devops_lead: User) -> Deployment:  # noqa: F811
    """A deployment whose first gate is signed, with a waived item."""
    waived = item(deployment, "Anybody checks this")
    waived.undo(MACHINE)
    waived.waive(MACHINE, 'Nobody does; #eval("1") ] *bold* 😀 <b>')
    sign(deployment, dba, "dba")
    sign(deployment, devops_lead, "devops_lead")
    deployment.refresh_from_db()
    return deployment


@pytest.fixture
def pack(signed: Deployment) -> EvidencePack:
    return EvidencePack.export(signed, MACHINE)
