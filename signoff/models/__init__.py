from signoff.models.delegation import Delegation, DelegationRevocation
from signoff.models.gate import Gate, GateState
from signoff.models.pack import EvidencePack
from signoff.models.reminder import Reminder
from signoff.models.signature import Signature, SignatureRevocation, Staleness
from signoff.models.slot import Slot

__all__ = [
    "Delegation",
    "DelegationRevocation",
    "EvidencePack",
    "Gate",
    "GateState",
    "Reminder",
    "Signature",
    "SignatureRevocation",
    "Slot",
    "Staleness",
]
