"""The rollback panel of a deployment's page: its runs, and the form that requests one."""

from __future__ import annotations

from dataclasses import dataclass

from checklists.forms.rollback import RollbackForm
from checklists.models import DeploymentState
from checklists.models.stage_rules import ROLLBACK
from checklists.presenters.deployment_page import DeploymentPage
from deployctl.operations.framework.registry import operation
from deployctl.runs import preconditions
from deployctl.runs.models import Run
from deployctl.runs.preconditions import Confirmation


@dataclass(frozen=True)
class RollbackPanel:
    """The rollback of a deployment; `form` is None if the viewer can't request a run now."""

    runs: list[Run]
    form: RollbackForm | None
    confirmation: Confirmation | None

    @property
    def restore_s(self) -> float | None:
        """The seconds that the last restore of the proposed backup took; None if it was never restored."""
        return self.form.proposed.last_restore_s if self.form and self.form.proposed else None


def rollback_panel_of(page: DeploymentPage) -> RollbackPanel | None:
    """Return the panel of a deployment that is rolling back or rolled back; None for other states."""
    deployment = page.deployment
    if deployment.state not in {DeploymentState.ROLLING_BACK, DeploymentState.ROLLED_BACK}:
        return None
    runs = list(Run.objects.filter(authority=deployment.authority, kind=ROLLBACK))
    can_start = deployment.state == DeploymentState.ROLLING_BACK and not any(
        run.is_unfinished for run in runs
    )
    may_start = can_start and page.is_operator and page.permissions.may_lead
    return RollbackPanel(
        runs=runs,
        form=RollbackForm.of(deployment) if may_start else None,
        confirmation=preconditions.confirmation(deployment.target, operation(ROLLBACK)),
    )
