"""What pgBackRest writes while it works: its words go to the log, its percentages become progress."""

from __future__ import annotations

import re

from deployctl.operations.framework.base import Job

LONGEST_LINE = 64 * 1024
# `P01 DETAIL: backup file /data/base/5/1255 (768KB, 3.42%) checksum …`: the share of all bytes that is done.
DONE = re.compile(r"^P\d+ DETAIL: (?:backup|restore) file .*, (\d+(?:\.\d+)?)%\)")
DETAIL = re.compile(r"^P\d+ +(?:DETAIL|DEBUG|TRACE): ")
PLAIN = re.compile(r"^P\d+ +(?:INFO|(WARN|ERROR)): ")
LEVELS = {"WARN": "warning", "ERROR": "error", None: "info"}


class OutputParser:
    """Reads pgBackRest's standard output at level "detail".

    Args:
        job: told progress and lines.
        phase: such as "back up"; "" where the command tells no percentages.
    """

    def __init__(self, job: Job, phase: str = "") -> None:
        self._job, self._phase = job, phase
        self._rest = b""
        self._percent = -1
        self.lines: list[str] = []

    def read(self, stream: str, chunk: bytes) -> None:
        """Take a piece of output."""
        if stream != "stdout":
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-LONGEST_LINE:]
        for line in lines:
            self._take(line.decode(errors="replace").rstrip())

    def found(self, pattern: str) -> str | None:
        """The group of a pattern in the newest line that has it."""
        for line in reversed(self.lines):
            if match := re.search(pattern, line):
                return match[1]
        return None

    def _take(self, line: str) -> None:
        if (done := DONE.match(line)) is not None:
            percent = int(float(done[1]))
            if percent > self._percent:
                self._percent = percent
                self._job.advance(percent, 100, unit="%", phase=self._phase)
        if DETAIL.match(line) or not line:
            return  # one line per file, which may be a million
        self.lines.append(line)
        said = PLAIN.match(line)
        self._job.log(PLAIN.sub("", line), level=LEVELS[said[1] if said else None])
