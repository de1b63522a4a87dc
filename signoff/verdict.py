"""GO or NO-GO for a gate, for the command line and the API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from checklists import readiness
from checklists.models import Deployment, DeploymentState
from checklists.readiness import Blocker
from deployctl.errors import InvalidInput
from signoff.models import Gate

STAGES = ("pre", "post")
# NO-GO in these states, even if the gate is signed.
STOPPED = (
    DeploymentState.HALTED,
    DeploymentState.ROLLING_BACK,
    DeploymentState.ROLLED_BACK,
    DeploymentState.CANCELLED,
)


@dataclass(frozen=True)
class Verdict:
    """The readiness of a gate.

    Attributes:
        go: True if the gate has no blockers and the deployment is not in one of the `STOPPED` states.
        signed: True if every slot has as many valid signatures as its quorum.
        blockers: a sentence for each, with the path of the page where it can be resolved.
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
        """`GO` or `NO-GO`."""
        return "GO" if self.go else "NO-GO"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, as documented in docs/api.md."""
        return asdict(self) | {"verdict": self.word}


def of(deployment: Deployment, stage: str) -> Verdict:
    """Return the verdict on a gate now.

    Args:
        stage: `pre` or `post`.

    Raises:
        InvalidInput: the deployment has no such gate.
    """
    gate = Gate.objects.filter(deployment=deployment, key=stage).first() if stage in STAGES else None
    if gate is None:
        raise InvalidInput(f"There is no gate {stage!r}. Use stage {' or '.join(STAGES)}.")
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
