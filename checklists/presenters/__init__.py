"""Presenters: load a deployment in a few queries and prepare it for templates."""

from checklists.presenters.deployment_page import DeploymentPage, PhasePart, SectionPart
from checklists.presenters.item_filter import ItemFilter
from checklists.presenters.item_row import ItemRow

__all__ = ["DeploymentPage", "ItemFilter", "ItemRow", "PhasePart", "SectionPart"]
