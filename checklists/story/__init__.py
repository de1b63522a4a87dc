"""What a deployment's page tells, read in a handful of queries and handed to templates as plain data."""

from checklists.story.filters import Show
from checklists.story.rows import ItemRow
from checklists.story.tale import PhasePart, SectionPart, Story

__all__ = ["ItemRow", "PhasePart", "SectionPart", "Show", "Story"]
