from deployctl.operations.backup.retention import Trust
from deployctl.runs.models.backup import Backup, BackupTrust
from deployctl.runs.models.consent import Consent
from deployctl.runs.models.decision import Decision
from deployctl.runs.models.lease import LeaseLost
from deployctl.runs.models.log_line import LogLine
from deployctl.runs.models.offsite_copy import Copy
from deployctl.runs.models.physical_engine import PhysicalEngine
from deployctl.runs.models.retention import Retention
from deployctl.runs.models.run import Run
from deployctl.runs.models.run_states import RunState
from deployctl.runs.models.run_step import RunStep, StepState
from deployctl.runs.models.stored_secret import StoredSecret
from deployctl.runs.models.target import Environment, Target, TargetRole, TargetSecret

__all__ = [
    "Backup",
    "BackupTrust",
    "Consent",
    "Copy",
    "Decision",
    "Environment",
    "LeaseLost",
    "LogLine",
    "PhysicalEngine",
    "Retention",
    "Run",
    "RunState",
    "RunStep",
    "StepState",
    "StoredSecret",
    "Target",
    "TargetRole",
    "TargetSecret",
    "Trust",
]
