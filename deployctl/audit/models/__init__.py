from deployctl.audit.models.entry import Entry
from deployctl.audit.models.verification import Verification

__all__ = ["Entry", "Verification"]
