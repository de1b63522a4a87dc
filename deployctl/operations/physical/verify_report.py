"""Parse the output of pgBackRest's `verify`, because version 2.45 always ends with status 0."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# `backup: 20260102-030405F, status: valid, total files checked: 964, total valid files: 964`
BACKUP = re.compile(r"backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)")
# `archiveId: 15-1, total WAL checked: 5, total valid WAL: 5`
ARCHIVE = re.compile(r"archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)")
STATUS = re.compile(r"^\s*status: (\w+)")
# `P01   INFO: invalid checksum '20260102-030405F/pg_data/base/5/1255_vm.lz4'`, or, if the file can't be
# decompressed, `P01   INFO: invalid result 15-1/0000000100000000/0000….gz: [29] raised from …`. Some versions
# log these at level ERROR.
FILE = re.compile(r"(?:INFO|WARN|ERROR: \[\d+\]): (?:file missing|invalid \w+) '?([^':]+)")
VALID, IN_PROGRESS = "valid", "in-progress"


@dataclass(frozen=True)
class VerifiedBackup:
    """The result of one backup; `files` is the number of files checked."""

    label: str
    status: str
    files: int
    valid_files: int

    @property
    def is_intact(self) -> bool:
        """Return True if every file exists and has the checksum in the manifest."""
        return self.status == VALID and self.files == self.valid_files


@dataclass
class VerifyReport:
    """The result of `verify`.

    Args:
        status: the overall status, "ok" or "error"; "" if the output has none.
        backups: the results by label.
        archives: the number of WAL segments checked and valid, by archive ID.
        files: the paths of damaged or missing files.
    """

    status: str = ""
    backups: dict[str, VerifiedBackup] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> list[str]:
        """Return the labels of damaged backups."""
        finished = (backup for backup in self.backups.values() if backup.status != IN_PROGRESS)
        return [backup.label for backup in finished if not backup.is_intact]

    @property
    def is_intact(self) -> bool:
        """Return True if all backups and WAL segments are valid."""
        return self.status == "ok" and not self.damaged and not self.files and not self.damaged_segments

    @property
    def segments(self) -> int:
        """Return the number of WAL segments checked."""
        return sum(checked for checked, _ in self.archives.values())

    @property
    def damaged_segments(self) -> int:
        """Return the number of damaged WAL segments."""
        return sum(checked - valid for checked, valid in self.archives.values())


def parse(lines: list[str]) -> VerifyReport:
    """Parse the output of `verify --output=text --verbose`, which the log at level "info" repeats."""
    report = VerifyReport()
    for line in lines:
        if (backup := BACKUP.search(line)) is not None:
            report.backups[backup[1]] = VerifiedBackup(backup[1], backup[2], int(backup[3]), int(backup[4]))
        elif (archive := ARCHIVE.search(line)) is not None:
            report.archives[archive[1]] = int(archive[2]), int(archive[3])
        elif (status := STATUS.match(line)) is not None:
            report.status = status[1]
        elif (file := FILE.search(line)) is not None and file[1] not in report.files:
            report.files.append(file[1])
    return report
