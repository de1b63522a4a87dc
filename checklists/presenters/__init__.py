"""What a deployment's page tells, read in a handful of queries and handed to templates as plain data."""

from checklists.presenters.deployment_page import DeploymentPage, PhasePart, SectionPart
from checklists.presenters.item_filter import Show
from checklists.presenters.item_row import ItemRow

__all__ = ["DeploymentPage", "ItemRow", "PhasePart", "SectionPart", "Show"]
