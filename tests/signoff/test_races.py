from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from checklists.models import DeploymentState
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.accounts.testing import current_code, enroll
from deployctl.errors import DeployctlError
from signoff import record as records
from signoff.models import Signature
from tests.checklists import factories
from tests.conftest import Committed
from tests.people import PASSWORD, person
from tests.signoff.signing import complete_items, gate_of, plan_with_gate_rules, slot_of

THREADS = 10


@pytest.mark.fault(23)
def test_one_code_from_ten_threads_gives_one_signature(
    committed_db: Committed, seen: Callable[[str], None]
) -> None:
    dba = person("Dana Baker", Permission.APPROVER)
    others = [person("Dev Opsworth", Permission.APPROVER), person("Quinn Adler", Permission.APPROVER)]
    deployment = factories.plan(factories.a_target(), factories.published(), factories.team_of(dba, *others))
    complete_items(deployment, "pre")
    enroll(dba)
    code, digest = current_code(dba), records.digest(gate_of(deployment).record())

    def attempt(_: int) -> str:
        try:
            slot_of(deployment, Role.DBA).sign(by=dba, password=PASSWORD, code=code, digest=digest)
        except DeployctlError as error:
            return error.message
        finally:
            connection.close()
        return "signed"

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(attempt, range(THREADS)))

    assert outcomes.count("signed") == 1, outcomes
    assert Signature.objects.count() == 1
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.PLANNING
    seen(f"1 signature, {len(outcomes) - 1} rejected")


def test_a_slot_for_two_accepts_two_of_ten_concurrent_signers(committed_db: Committed) -> None:
    people = [person(f"Dana {letter}", Permission.APPROVER) for letter in "ABCDEFGHIJ"]
    others = [person("Dev Opsworth", Permission.APPROVER), person("Quinn Adler", Permission.APPROVER)]
    team = [*((each, Role.DBA.value) for each in people), *factories.team_of(people[0], *others)]
    deployment = plan_with_gate_rules(team, quorum=2)
    for each in people:
        enroll(each)
    digest = records.digest(gate_of(deployment).record())

    def attempt(each: User) -> str:
        try:
            slot = slot_of(deployment, Role.DBA)
            slot.sign(by=each, password=PASSWORD, code=current_code(each), digest=digest)
        except DeployctlError as error:
            return error.message
        finally:
            connection.close()
        return "signed"

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(attempt, people))

    assert outcomes.count("signed") == 2, outcomes
    assert all("have already signed as Database Administrator" in each for each in set(outcomes) - {"signed"})
    signature = Signature.objects.earliest("pk")
    signer = User.objects.get(pk=signature.signer_id)

    def revoke(_: int) -> str:
        try:
            Signature.objects.get(pk=signature.pk).revoke(by=signer, reason="Not yet.")
        except DeployctlError as error:
            return error.message
        finally:
            connection.close()
        return "revoked"

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(revoke, range(THREADS)))

    assert outcomes.count("revoked") == 1, outcomes
