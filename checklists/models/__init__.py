from checklists.markdown.model import ItemKind, Stage
from checklists.models.checklist import Checklist, Section
from checklists.models.completions import Completion, Waiver
from checklists.models.deployment import Deployment
from checklists.models.deployment_state import DeploymentState, StateChange
from checklists.models.item import Item
from checklists.models.item_state import ItemState
from checklists.models.proof import Proof, ProofKind, ProofOutcome
from checklists.models.team import TeamMember
from checklists.models.template import Template, TemplateVersion, VersionState

__all__ = [
    "Checklist",
    "Completion",
    "Deployment",
    "DeploymentState",
    "Item",
    "ItemKind",
    "ItemState",
    "Proof",
    "ProofKind",
    "ProofOutcome",
    "Section",
    "Stage",
    "StateChange",
    "TeamMember",
    "Template",
    "TemplateVersion",
    "VersionState",
    "Waiver",
]
