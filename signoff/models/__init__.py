from signoff.models.delegation import Delegation, DelegationWithdrawal
from signoff.models.gate import Gate, GateState
from signoff.models.pack import EvidencePack
from signoff.models.reminder import Reminder
from signoff.models.signature import Signature, Staleness, Withdrawal
from signoff.models.slot import Slot

__all__ = [
    "Delegation",
    "DelegationWithdrawal",
    "EvidencePack",
    "Gate",
    "GateState",
    "Reminder",
    "Signature",
    "Slot",
    "Staleness",
    "Withdrawal",
]
