from checklists.models.checklist import Checklist, Section, Stage
from checklists.models.deployment import Deployment, DeploymentState, StateChange, TeamMember
from checklists.models.item import (
    Completion,
    Item,
    ItemKind,
    ItemState,
    Proof,
    ProofKind,
    ProofOutcome,
    Waiver,
)
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
