from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from checklists.models import DeploymentState
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import current_code, enrol
from deployctl.errors import DeployctlError
from signoff import record as records
from signoff.models import Signature
from tests.checklists import deployments
from tests.conftest import Committed
from tests.people import PASSWORD, person
from tests.signoff.signing import gate_of, keep_everything, slot_of

THREADS = 10


def test_one_code_from_ten_threads_gives_one_signature(committed_db: Committed) -> None:
    dba = person("Dana Baker", Permission.APPROVER)
    others = [person("Dev Opsworth", Permission.APPROVER), person("Quinn Adler", Permission.APPROVER)]
    deployment = deployments.plan(
        deployments.a_target(), deployments.published(), deployments.team_of(dba, *others)
    )
    keep_everything(deployment, "pre")
    enrol(dba)
    code, digest = current_code(dba), records.digest(gate_of(deployment).record())

    def attempt(_: int) -> str:
        try:
            slot_of(deployment, Role.DBA).sign(by=dba, password=PASSWORD, code=code, digest=digest)
        except DeployctlError as error:
            return error.sentence
        finally:
            connection.close()
        return "signed"

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(attempt, range(THREADS)))

    assert outcomes.count("signed") == 1, outcomes
    assert Signature.objects.count() == 1
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.PLANNING
