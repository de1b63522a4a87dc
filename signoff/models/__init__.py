from signoff.models.gate import Gate, GateState
from signoff.models.signature import Signature, Staleness
from signoff.models.slot import Slot

__all__ = ["Gate", "GateState", "Signature", "Slot", "Staleness"]
