from deployctl.runs.models.backup import Backup, BackupTrust
from deployctl.runs.models.log import LogLine
from deployctl.runs.models.run import Run, RunState
from deployctl.runs.models.step import RunStep
from deployctl.runs.models.target import Environment, Target, TargetRole, TargetSecret

__all__ = [
    "Backup",
    "BackupTrust",
    "Environment",
    "LogLine",
    "Run",
    "RunState",
    "RunStep",
    "Target",
    "TargetRole",
    "TargetSecret",
]
