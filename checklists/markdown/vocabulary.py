"""The names that a template may use: roles, operations and checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

# The six roles as people write them on signature lines and in contact lists. They are defined in
# `deployctl.accounts.roles` and repeated here because the parser must work without Django.
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
    """The names that annotations may use.

    `operations` and `checks` are collections of names, or mappings from names to parameter names. With a
    mapping, other parameters are rejected.
    """

    operations: Collection[str] = ()
    checks: Collection[str] = ()
    roles: Collection[str] = field(default=tuple(ROLE_LABELS))

    def params_of(self, kind: str, name: str) -> Collection[str] | None:
        """Return the parameters of an operation or a check, or None if they are not known."""
        known = self.operations if kind == "operation" else self.checks
        return known.get(name, ()) if isinstance(known, Mapping) else None


def role_of(label: str) -> str:
    """Return the role that a label names, or an empty string."""
    normalized = " ".join(label.split()).lower()
    for role, name in ROLE_LABELS.items():
        if normalized in {role, name.lower()}:
            return role
    return ""
