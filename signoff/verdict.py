"""GO or NO-GO for a gate, as the command line and the API say it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from checklists import readiness
from checklists.models import Deployment, DeploymentState
from checklists.readiness import Blocker
from deployctl.errors import InvalidInput
from signoff.models import Gate

STAGES = ("pre", "post")
# Where nothing new starts, whatever was signed.
STOPPED = (
    DeploymentState.HALTED,
    DeploymentState.ROLLING_BACK,
    DeploymentState.ROLLED_BACK,
    DeploymentState.CANCELLED,
)


@dataclass(frozen=True)
class Verdict:
    """What stands between a deployment and one of its gates.

    Attributes:
        go: nothing is in the way of signing it, and the deployment is neither stopped nor given up.
        signed: every slot holds a signature that stands.
        blockers: what is in the way, each a sentence and the path of the page where something can be done.
    """

    deployment: int
    title: str
    target: str
    state: str
    stage: str
    go: bool
    signed: bool
    blockers: list[dict[str, str]]

    @property
    def word(self) -> str:
        """GO or NO-GO."""
        return "GO" if self.go else "NO-GO"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; its members are documented in docs/api.md."""
        return asdict(self) | {"verdict": self.word}


def of(deployment: Deployment, stage: str) -> Verdict:
    """Ask what is in the way now.

    Args:
        stage: `pre` or `post`.

    Raises:
        InvalidInput: there is no such gate.
    """
    gate = Gate.objects.filter(deployment=deployment, key=stage).first() if stage in STAGES else None
    if gate is None:
        raise InvalidInput(f"There is no gate {stage!r}; ask for stage {' or '.join(STAGES)}.")
    found = readiness.blockers(deployment, stage)
    if deployment.state in STOPPED:
        stopped = Blocker(f"The deployment is {deployment.state_phrase}.", deployment.get_absolute_url())
        found = [stopped, *found]
    return Verdict(
        deployment=deployment.pk,
        title=deployment.title,
        target=deployment.target.name,
        state=deployment.state,
        stage=stage,
        go=not found,
        signed=gate.is_signed,
        blockers=[{"sentence": blocker.sentence, "url": blocker.url} for blocker in found],
    )
