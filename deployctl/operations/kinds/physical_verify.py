"""Verify a pgBackRest repository: compare every file with its checksum."""

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

STATE = "Nothing was changed, and the backups are not verified."
FILES_SHOWN = 5


class PhysicalVerify(Operation):
    """Compare every file of a pgBackRest repository with its checksum."""

    kind: ClassVar[str] = "physical_verify"
    title: ClassVar[str] = "Verify physical backups"
    help: ClassVar[str] = (
        "Has pgBackRest read every backup and WAL segment in its repository and compare the checksums, and "
        "compares each manifest with the record. Names the damaged and missing files."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 3 * 24 * 3600
    physical: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Params:
        repository: int = repository_param()

    def perform(self, job: Job) -> Outcome:
        with job.step("Inspect target and repository"):
            program = PgBackRest(job, engine_of(job))
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            found = repository.read_own(job, program, session)
            known = _on_record(job, found)
        with job.step("Check the manifests"):
            _check_manifests(program, found, known)
        with job.step("Read every file"):
            console = OutputParser(job)
            options = ["--output=text", "--verbose", f"--repo={job.params.repository}"]
            findings = _verify(program, console, options)
        with job.step("Evaluate the results"):
            _refuse_damaged(findings)
            _refuse_unverified(findings, known)
        return Outcome(
            summary=(
                f"No damage in {pluralize(len(findings.backups), 'backup')} and "
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
        # Some versions fail if they find damage; then report that.
        findings = verify_report.parse(console.lines)
        if not findings.status:
            raise
        return findings
    return verify_report.parse(console.lines)


def _on_record(job: Job, found: Repository) -> Mapping[str, KeptBackup]:
    """Return the recorded backups in the verified repository, by label."""
    return {
        label: kept
        for label, kept in repository.on_record(job, found).items()
        if (entry := found.find(label)) is not None and entry.database.repo == job.params.repository
    }


def _refuse_damaged(findings: VerifyReport) -> None:
    if findings.is_intact:
        return
    details = []
    if findings.damaged:
        details.append(f"Damaged: {', '.join(findings.damaged)}.")
    if findings.files:
        more = ", …" if len(findings.files) > FILES_SHOWN else ""
        details.append(f"Files: {', '.join(findings.files[:FILES_SHOWN])}{more}.")
    if findings.damaged_segments:
        details.append(
            f"Damaged: {findings.damaged_segments} of {pluralize(findings.segments, 'WAL segment')}. "
            "Recovery can't go beyond them."
        )
    raise OperationFailed(
        f"The repository is damaged. {' '.join(details) or 'pgBackRest gives no details.'} Don't rely on "
        "these backups. Make a full backup now, and check the disk of the repository."
    )


def _refuse_unverified(findings: VerifyReport, known: Mapping[str, KeptBackup]) -> None:
    unverified = [kept.name for label, kept in known.items() if label not in findings.backups]
    if unverified:
        raise OperationFailed(
            f"pgBackRest did not verify {', '.join(unverified)}. Nothing was changed. Try again."
        )


def _check_manifests(program: PgBackRest, found: Repository, known: Mapping[str, KeptBackup]) -> None:
    """Compare the manifests with the record; pgBackRest misses one replaced together with its files."""
    for label, kept in known.items():
        entry = found.find(label)
        if entry is not None and repository.digest_of_manifest(program, entry) != kept.manifest_sha256:
            raise OperationFailed(
                f"The manifest of {kept.name} has changed since the backup was made. Don't rely on this "
                "backup. Find out who wrote to the repository."
            )
