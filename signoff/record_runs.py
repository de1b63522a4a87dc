"""The runs of a record: what the machine did, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Prefetch, Q

from checklists.models import Deployment
from checklists.models.turns import COVERED_BY
from deployctl.runs.models import Backup, BackupTrust, Run, RunState
from signoff.record_values import moment, moment_or_none

Json = dict[str, Any]


def covered_runs(deployment: Deployment, gate_key: str) -> list[Run]:
    """The runs of a deployment that a gate covers, the oldest first.

    Those that prove an item of the gate's stages; every run of a deployment proves some item. What is said of
    them is complete only when they have ended, and a gate is not signed before.
    """
    stages = COVERED_BY[gate_key]
    found = Run.objects.filter(authority=deployment.authority, proofs__item__section__stage__in=stages)
    return list(
        found.order_by("pk")
        .distinct()
        .select_related("requested_by", "decision__by")
        .prefetch_related("consents__by")
    )


def runs_of(runs: Sequence[Run]) -> list[Json]:
    """Each run with who asked for it, with which parameters, and its outcome."""
    return [_run(run) for run in runs]


def migrations_of(runs: Sequence[Run]) -> Json | None:
    """Where the database stands against its migrations, as the newest run that looked has found.

    Returns:
        The tool, and each migration of the project by name with the checksum of its file (SHA-256; None where
        the tool's files were not read) and whether it is applied; None where no run looked.
    """
    for run in reversed(runs):
        if run.state == RunState.SUCCEEDED and "tool" in run.facts and "applied" in run.facts:
            checksums = run.facts.get("checksums", {})
            return {
                "run": run.pk,
                "tool": run.facts["tool"],
                "migrations": [
                    {"name": name, "sha256": checksums.get(name), "applied": state == "applied"}
                    for state in ("applied", "pending")
                    for name in run.facts.get(state, [])
                ],
            }
    return None


def backups_of(runs: Sequence[Run]) -> list[Json]:
    """The backups that these runs made or proved, each with the trust that these runs reached.

    A level that another run reached, before or after, is not content of this record: otherwise every test of
    a backup would withdraw signatures that rest on the backup having been made.
    """
    levels = BackupTrust.objects.filter(run__in=runs).order_by("pk")
    backups = Backup.objects.filter(Q(run__in=runs) | Q(trust_levels__run__in=runs)).order_by("pk").distinct()
    return [
        {
            "name": backup.name,
            "run": backup.run_id,
            "manifest_sha256": backup.manifest_sha256,
            "snapshot_at": moment(backup.snapshot_at),
            "size_bytes": backup.size_bytes,
            "rows": backup.rows,
            "trust": [
                {"level": level.level, "run": level.run_id, "at": moment(level.at)}
                for level in backup.trust_levels.all()
            ],
        }
        for backup in backups.prefetch_related(Prefetch("trust_levels", levels))
    ]


def _run(run: Run) -> Json:
    decision = getattr(run, "decision", None)
    return {
        "number": run.pk,
        "operation": run.kind,
        "params": run.params,
        "by": run.requested_by_name,
        "email": run.requested_by.email if run.requested_by else None,
        "requested_at": moment(run.requested_at),
        "started_at": moment_or_none(run.started_at),
        "finished_at": moment_or_none(run.finished_at),
        "state": run.state,
        "summary": run.summary,
        "consents": [
            {
                "by": row.by_name,
                "email": row.by.email,
                "at": moment(row.at),
                "given": row.given,
                "reason": row.reason,
            }
            for row in run.consents.all()
        ],
        "decision": decision
        and {
            "by": decision.by_name,
            "email": decision.by.email if decision.by else None,
            "at": moment(decision.at),
            "outcome": decision.outcome,
            "note": decision.note,
        },
    }
