"""Whether the database that is about to be changed is the one that was approved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError, Refusal
from deployctl.runs import connection_check

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment


def refuse_another_database(deployment: Deployment) -> None:
    """Look at the target's database, where it was known which one it is.

    A database that the deployment itself creates is not known before; then there is nothing to compare.

    Raises:
        Refusal: it is another one, or cannot be reached, so that nobody knows.
    """
    target = deployment.target
    if target.database_oid is None:
        return
    try:
        facts = connection_check.check(target)
    except DeployctlError as error:
        raise Refusal(
            f"Nobody knows whether {target} is still the database that was approved: it was not reached. "
            f"“{deployment}” stays {deployment.now_in}. {error.message}"
        ) from error
    if facts.identity_differs:
        raise Refusal(
            f"Behind the connection of {target} stands another database than the one that was approved. "
            f"“{deployment}” stays {deployment.now_in}, and nothing was touched. Find out why; where the "
            "other one is right, correct the target, which opens the first gate again."
        )
