"""The words a template may use: roles, operations and checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

# The six roles of a deployment, as people write them on signature lines and in contact lists. The accounts
# app owns the list of roles; it is repeated here because the parser must work without Django.
ROLE_LABELS: Mapping[str, str] = {
    "dba": "Database Administrator",
    "devops_lead": "DevOps Lead",
    "cto": "CTO/Tech Lead",
    "app_team_lead": "Application Team Lead",
    "qa_lead": "QA Lead",
    "on_call": "On-Call Engineer",
}

SEVERITIES = ("critical", "high", "medium", "low")


@dataclass(frozen=True)
class Vocabulary:
    """What annotations may refer to.

    `operations` and `checks` are names; where they are mappings, the values are the names of the parameters
    that each of them takes, and others are refused.
    """

    operations: Collection[str] = ()
    checks: Collection[str] = ()
    roles: Collection[str] = field(default=tuple(ROLE_LABELS))

    def params_of(self, kind: str, name: str) -> Collection[str] | None:
        """The parameters of an operation or a check, or None where they are not known."""
        known = self.operations if kind == "operation" else self.checks
        return known.get(name, ()) if isinstance(known, Mapping) else None


def role_of(label: str) -> str:
    """The role that a label names, or nothing."""
    wanted = " ".join(label.split()).lower()
    for role, name in ROLE_LABELS.items():
        if wanted in {role, name.lower()}:
            return role
    return ""
