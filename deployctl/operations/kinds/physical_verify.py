"""Verify the whole pgBackRest repository: every file against its checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from deployctl.operations.backup.retention import KeptBackup, Trust
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.operations.physical import repository, verify_report
from deployctl.operations.physical.output_parser import OutputParser
from deployctl.operations.physical.pgbackrest import PgBackRest, engine_of, repository_param
from deployctl.operations.physical.repository import Repository
from deployctl.operations.physical.verify_report import VerifyReport
from deployctl.text import pluralize

STATE = "Nothing was changed, and nothing is known about the backups."
FILES_SHOWN = 5


class PhysicalVerify(Operation):
    """Compare every file of a pgBackRest repository with its checksum."""

    kind: ClassVar[str] = "physical_verify"
    title: ClassVar[str] = "Verify physical backups"
    help: ClassVar[str] = (
        "Has pgBackRest read every file of every backup and every WAL segment in its repository and compare "
        "the checksums, and compares each manifest with what was recorded. Names what is damaged or missing."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 3 * 24 * 3600
    physical: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Params:
        repository: int = repository_param()

    def perform(self, job: Job) -> Outcome:
        with job.step("Look at target and repository"):
            program = PgBackRest(job, engine_of(job))
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            found = repository.read_own(job, program, session)
            known = _on_record(job, found)
        with job.step("Compare the manifests"):
            _refuse_exchanged(program, found, known)
        with job.step("Read every file"):
            console = OutputParser(job)
            options = ["--output=text", "--verbose", f"--repo={job.params.repository}"]
            findings = _verify(program, console, options)
        with job.step("Judge"):
            _refuse_damaged(findings)
            _refuse_unread(findings, known)
        return Outcome(
            summary=(
                f"Every file is what was written: {pluralize(len(findings.backups), 'backup')} and "
                f"{pluralize(findings.segments, 'WAL segment')} of stanza {found.stanza}."
            ),
            facts={
                "stanza": found.stanza,
                "repository": job.params.repository,
                "backups": list(findings.backups),
                "files": {checked.label: checked.files for checked in findings.backups.values()},
                "segments": findings.segments,
            },
            trust={kept.name: (Trust.HASHED,) for kept in known.values()},
        )


def _verify(program: PgBackRest, console: OutputParser, options: list[str]) -> VerifyReport:
    try:
        program.run("verify", *options, state=STATE, on_output=console.read)
    except OperationFailed:
        # Some versions end with an error because of what they found: then that is what is to be told.
        findings = verify_report.parse(console.lines)
        if not findings.status:
            raise
        return findings
    return verify_report.parse(console.lines)


def _on_record(job: Job, found: Repository) -> Mapping[str, KeptBackup]:
    """The backups on record that lie in the repository that is read."""
    return {
        label: kept
        for label, kept in repository.on_record(job, found).items()
        if (entry := found.find(label)) is not None and entry.database.repo == job.params.repository
    }


def _refuse_damaged(findings: VerifyReport) -> None:
    if findings.is_intact:
        return
    told = []
    if findings.damaged:
        told.append(f"Damaged: {', '.join(findings.damaged)}.")
    if findings.files:
        more = ", …" if len(findings.files) > FILES_SHOWN else ""
        told.append(f"Files: {', '.join(findings.files[:FILES_SHOWN])}{more}.")
    if findings.damaged_segments:
        told.append(
            f"Damaged: {findings.damaged_segments} of {pluralize(findings.segments, 'WAL segment')}. Backups "
            "cannot be restored beyond them."
        )
    raise OperationFailed(
        f"The repository is not what was written. {' '.join(told) or 'pgBackRest says only: error.'} Do not "
        "rely on these backups. Make a full backup now, and look at the medium of the repository."
    )


def _refuse_unread(findings: VerifyReport, known: Mapping[str, KeptBackup]) -> None:
    unread = [kept.name for label, kept in known.items() if label not in findings.backups]
    if unread:
        raise OperationFailed(
            f"pgBackRest's verify says nothing about {', '.join(unread)}. {STATE} Try again."
        )


def _refuse_exchanged(program: PgBackRest, found: Repository, known: Mapping[str, KeptBackup]) -> None:
    """A manifest that was exchanged together with its files would pass pgBackRest's own checksums."""
    for label, kept in known.items():
        entry = found.find(label)
        if entry is not None and repository.digest_of_manifest(program, entry) != kept.manifest_sha256:
            raise OperationFailed(
                f"The manifest of {kept.name} is not the one that was recorded when it was made. This backup "
                "must not be relied on. Find out who wrote to the repository."
            )
