from signoff.models.gate import Gate, Slot
from signoff.models.signature import Signature, Staleness

__all__ = ["Gate", "Signature", "Slot", "Staleness"]
