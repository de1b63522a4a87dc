from deployctl.audit.models.entry import Entry
from deployctl.audit.models.signed_head import SignedHead
from deployctl.audit.models.verification import Verification

__all__ = ["Entry", "SignedHead", "Verification"]
