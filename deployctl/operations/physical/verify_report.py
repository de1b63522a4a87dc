"""What pgBackRest's `verify` found, from what it writes: 2.45 ends with status 0 in any case."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# `backup: 20260102-030405F, status: valid, total files checked: 964, total valid files: 964`
BACKUP = re.compile(r"backup: (\S+), status: ([^,]+), total files checked: (\d+), total valid files: (\d+)")
# `archiveId: 15-1, total WAL checked: 5, total valid WAL: 5`
ARCHIVE = re.compile(r"archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)")
STATUS = re.compile(r"^\s*status: (\w+)")
# `P01   INFO: invalid checksum '20260102-030405F/pg_data/base/5/1255_vm.lz4'`, or, where the damage keeps it
# from being unpacked, `P01   INFO: invalid result 15-1/0000000100000000/0000….gz: [29] raised from …`. In
# some versions these are errors.
FILE = re.compile(r"(?:INFO|WARN|ERROR: \[\d+\]): (?:file missing|invalid \w+) '?([^':]+)")
VALID, IN_PROGRESS = "valid", "in-progress"


@dataclass(frozen=True)
class Checked:
    """What became of one backup. `files` is how many were checked."""

    label: str
    status: str
    files: int
    valid_files: int

    @property
    def is_whole(self) -> bool:
        """Every file is there and has the checksum that the manifest says."""
        return self.status == VALID and self.files == self.valid_files


@dataclass
class Findings:
    """Filled line by line.

    Args:
        status: pgBackRest's word on everything, "ok" or "error"; "" until it was said.
        backups: by label.
        archives: WAL segments checked and valid, by pgBackRest's name for the archive.
        files: damaged or missing, as pgBackRest names them.
    """

    status: str = ""
    backups: dict[str, Checked] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> list[str]:
        """The labels of the backups that must not be relied on."""
        checked = (one for one in self.backups.values() if one.status != IN_PROGRESS)
        return [one.label for one in checked if not one.is_whole]

    @property
    def is_whole(self) -> bool:
        """Nothing is wrong with backups or WAL."""
        return self.status == "ok" and not self.damaged and not self.files and not self.lost_segments

    @property
    def segments(self) -> int:
        """How many WAL segments were checked."""
        return sum(checked for checked, _ in self.archives.values())

    @property
    def lost_segments(self) -> int:
        """How many of them are damaged."""
        return sum(checked - valid for checked, valid in self.archives.values())


def parse(lines: list[str]) -> Findings:
    """Read what `verify --output=text --verbose` wrote; its log at level "info" says the same once more."""
    findings = Findings()
    for line in lines:
        if (backup := BACKUP.search(line)) is not None:
            findings.backups[backup[1]] = Checked(backup[1], backup[2], int(backup[3]), int(backup[4]))
        elif (archive := ARCHIVE.search(line)) is not None:
            findings.archives[archive[1]] = int(archive[2]), int(archive[3])
        elif (status := STATUS.match(line)) is not None:
            findings.status = status[1]
        elif (file := FILE.search(line)) is not None and file[1] not in findings.files:
            findings.files.append(file[1])
    return findings
