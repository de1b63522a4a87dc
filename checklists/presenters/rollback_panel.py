"""The way back of a deployment: the runs of its rollback, and what starts one."""

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
    """What a deployment's page shows of its rollback. `form` is None for those who may not start one now."""

    runs: list[Run]
    form: RollbackForm | None
    confirmation: Confirmation | None

    @property
    def restore_s(self) -> float | None:
        """Seconds that the proposed backup took when it was restored last; None where it never was."""
        return self.form.proposed.last_restore_s if self.form and self.form.proposed else None


def rollback_panel_of(page: DeploymentPage) -> RollbackPanel | None:
    """The rollback of a deployment that is rolling back or was; None for every other one."""
    deployment = page.deployment
    if deployment.state not in {DeploymentState.ROLLING_BACK, DeploymentState.ROLLED_BACK}:
        return None
    runs = list(Run.objects.filter(authority=deployment.authority, kind=ROLLBACK))
    is_free = deployment.state == DeploymentState.ROLLING_BACK and not any(run.is_unfinished for run in runs)
    may_start = is_free and page.operator and page.permissions.may_lead
    return RollbackPanel(
        runs=runs,
        form=RollbackForm.of(deployment) if may_start else None,
        confirmation=preconditions.confirmation(deployment.target, operation(ROLLBACK)),
    )
