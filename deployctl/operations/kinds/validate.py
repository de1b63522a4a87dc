"""Validate a database: expected rows, migrations, indexes, constraints, orphaned rows, connections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.application.project_helpers import (
    count_admins,
    count_expected,
    read_only_session,
    require_project,
)
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.operations.migrations import migrator_for
from deployctl.postgres.queries import activity, constraints, indexes
from deployctl.postgres.queries.orphans import Orphans, orphans_of
from deployctl.text import pluralize

# From the built-in template: "Connection pool > 80%".
CONNECTIONS_LIMIT = 0.8

Findings = list[str]
CheckResult = tuple[Mapping[str, Json], Findings]


class Validate(Operation):
    """Run every check before failing, so that one run reports all findings."""

    kind: ClassVar[str] = "validate"
    title: ClassVar[str] = "Validate database"
    help: ClassVar[str] = (
        "Checks expected row counts, the administrator, migrations, indexes, constraints, orphaned rows and "
        "connections in use. Reports every finding and changes nothing."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 3600

    def perform(self, job: Job) -> Outcome:
        return validate(job)


def validate(job: Job, *, may_be_older: bool = False) -> Outcome:
    """Run every check, then fail if there are findings.

    Args:
        may_be_older: the database may be older than the project, as after a rollback: pending migrations
            and unexpected row counts are warnings instead of findings.

    Raises:
        OperationFailed: with every finding; nothing was changed.
    """
    project = require_project(job)
    facts: dict[str, Json] = {}
    findings: Findings = []
    warnings: Findings = []
    with read_only_session(job) as connection:
        version_checks: dict[str, Callable[[], CheckResult]] = {
            "Migrations": lambda: _migrations(job, project, warnings if may_be_older else None),
            "Expected row counts": lambda: _counts(connection, project),
            "Administrator": lambda: _admin(connection, project),
        }
        if may_be_older:
            version_checks |= {
                name: _as_warnings(version_checks[name], warnings)
                for name in ("Expected row counts", "Administrator")
            }
        checks: dict[str, Callable[[], CheckResult]] = version_checks | {
            "Indexes": lambda: _indexes(connection),
            "Constraints": lambda: _constraints(connection),
            "Orphaned rows": lambda: _orphans(job, connection),
            "Connections in use": lambda: _connections(connection),
        }
        for name, check in checks.items():
            _run_check(job, name, check, facts, findings)
    for warning in warnings:
        job.log(warning, level="warning")
    if findings:
        count = pluralize(len(findings), "finding")
        raise OperationFailed(f"{count}. {' '.join(findings)} Nothing was changed.")
    if may_be_older:
        facts["remarks"] = warnings
    return Outcome(summary=_summary(facts), facts=facts)


def _as_warnings(check: Callable[[], CheckResult], warnings: Findings) -> Callable[[], CheckResult]:
    """Return the same check with its findings added to the warnings instead."""

    def check_with_warnings() -> CheckResult:
        try:
            facts, found = check()
        except OperationFailed as failure:
            facts, found = {}, [failure.message]
        warnings.extend(found)
        return facts, []

    return check_with_warnings


class _Finding(OperationFailed):
    """A finding of one check; it marks the step as failed, and the next checks still run."""


def _run_check(
    job: Job, name: str, check: Callable[[], CheckResult], facts: dict[str, Json], findings: Findings
) -> None:
    """Run a check as one step. A check that can't be completed is a finding, too."""
    try:
        with job.step(name):
            try:
                result, found = check()
            except psycopg.Error as error:
                job.raise_if_cancelled()
                raise _Finding(f"{name} could not be checked: {message_of(error)}.") from error
            facts.update(result)
            for key, value in result.items():
                job.log(f"{key}: {value}")
            if found:
                raise _Finding(" ".join(found))
    except OperationFailed as finding:
        job.log(finding.message, level="error")
        findings.append(finding.message)


def _migrations(job: Job, project: Project, warnings: Findings | None) -> CheckResult:
    """Check the migrations; pending ones are added to the warnings, if there is such a list."""
    status = migrator_for(project).status(job)
    facts: dict[str, Json] = {
        "migrations_applied": len(status.applied),
        "migrations_pending": list(status.pending),
        "migrations_failed": [failure.name for failure in status.failed],
        "migrations_edited": list(status.edited),
    }
    if warnings is None or not status.pending:
        return facts, status.findings
    warnings.append(f"Pending migrations: {', '.join(status.pending)}.")
    return facts, dataclasses.replace(status, pending=()).findings


def _counts(connection: psycopg.Connection, project: Project) -> CheckResult:
    found, wrong = count_expected(connection, project.expect.counts)
    return {"counts": found}, wrong


def _admin(connection: psycopg.Connection, project: Project) -> CheckResult:
    if project.expect.admin is None:
        return {"admins": None}, []
    found, wrong = count_admins(connection, project.expect.admin)
    return {"admins": found}, wrong


def _indexes(connection: psycopg.Connection) -> CheckResult:
    every = indexes.indexes(connection)
    invalid = [f"{index.schema}.{index.name}" for index in every if not index.is_usable]
    wrong = (
        [f"Invalid indexes: {', '.join(invalid)}. Rebuild them (REINDEX INDEX CONCURRENTLY) or drop them."]
        if invalid
        else []
    )
    return {"indexes": len(every), "invalid_indexes": invalid}, wrong


def _constraints(connection: psycopg.Connection) -> CheckResult:
    every = constraints.constraints(connection)
    unchecked = [f"{c.schema}.{c.table}.{c.name}" for c in every if not c.validated]
    wrong = (
        [f"Constraints not validated against existing rows: {', '.join(unchecked)}. Run VALIDATE CONSTRAINT."]
        if unchecked
        else []
    )
    return {"constraints": len(every), "unvalidated_constraints": unchecked}, wrong


def _orphans(job: Job, connection: psycopg.Connection) -> CheckResult:
    """Check all foreign keys, also validated ones: replication and disabled triggers bypass them."""
    keys = constraints.foreign_keys(connection)
    broken: list[Orphans] = []
    for done, key in enumerate(keys):
        job.raise_if_cancelled()
        job.advance(done, len(keys), unit="foreign keys", phase="Orphaned rows")
        orphans = orphans_of(connection, key)
        if orphans.count:
            broken.append(orphans)
    job.advance(len(keys), len(keys), unit="foreign keys", phase="Orphaned rows")
    facts: dict[str, Json] = {
        "foreign_keys": len(keys),
        "orphans": [
            {
                "table": f"{found.foreign_key.schema}.{found.foreign_key.table}",
                "constraint": found.foreign_key.name,
                "count": found.count,
                "sample": list(found.sample),
            }
            for found in broken
        ],
    }
    return facts, [_orphan_sentence(found) for found in broken]


def _orphan_sentence(found: Orphans) -> str:
    key = found.foreign_key
    more = " and more" if found.count > len(found.sample) else ""
    return (
        f"{key.table}.{', '.join(key.columns)}: {pluralize(found.count, 'row')} without a row in "
        f"{key.referenced_table} ({key.name}), such as {', '.join(found.sample)}{more}."
    )


def _connections(connection: psycopg.Connection) -> CheckResult:
    use = activity.connection_use(connection)
    facts = {"connections_used": use.used, "connections_available": use.available}
    if use.used <= CONNECTIONS_LIMIT * use.available:
        return facts, []
    return facts, [
        f"{use.used} of {pluralize(use.available, 'connection')} are in use, more than "
        f"{CONNECTIONS_LIMIT:.0%}."
    ]


def _summary(facts: Mapping[str, Json]) -> str:
    def count(fact: str, noun: str) -> str:
        return pluralize(cast("int", facts[fact]), noun)

    return (
        f"Valid: {count('migrations_applied', 'migration')} applied, {count('indexes', 'index')}, "
        f"{count('constraints', 'constraint')}, no orphaned rows in {count('foreign_keys', 'foreign key')}, "
        f"{facts['connections_used']} of {count('connections_available', 'connection')} in use."
    )
