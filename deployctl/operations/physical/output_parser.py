"""Parse pgBackRest's output into log lines and progress."""

from __future__ import annotations

import re

from deployctl.operations.framework.base import Job

LONGEST_LINE = 64 * 1024
# `P01 DETAIL: backup file /data/base/5/1255 (768KB, 3.42%) checksum …`: the percentage of all bytes so far.
DONE = re.compile(r"^P\d+ DETAIL: (?:backup|restore) file .*, (\d+(?:\.\d+)?)%\)")
DETAIL = re.compile(r"^P\d+ +(?:DETAIL|DEBUG|TRACE): ")
MESSAGE = re.compile(r"^P\d+ +(?:INFO|(WARN|ERROR)): ")
LEVELS = {"WARN": "warning", "ERROR": "error", None: "info"}


class OutputParser:
    """Parses pgBackRest's standard output at log level "detail".

    Args:
        job: receives the log lines and the progress.
        phase: such as "back up"; "" if the command reports no percentages.
    """

    def __init__(self, job: Job, phase: str = "") -> None:
        self._job, self._phase = job, phase
        self._rest = b""
        self._percent = -1
        self.lines: list[str] = []

    def read(self, stream: str, chunk: bytes) -> None:
        """Parse a chunk of output."""
        if stream != "stdout":
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-LONGEST_LINE:]
        for line in lines:
            self._parse_line(line.decode(errors="replace").rstrip())

    def search(self, pattern: str) -> str | None:
        """Return the group of a pattern in the last line that matches it, or None."""
        for line in reversed(self.lines):
            if match := re.search(pattern, line):
                return match[1]
        return None

    def _parse_line(self, line: str) -> None:
        if (done := DONE.match(line)) is not None:
            percent = int(float(done[1]))
            if percent > self._percent:
                self._percent = percent
                self._job.advance(percent, 100, unit="%", phase=self._phase)
        if DETAIL.match(line) or not line:
            return  # one line per file, of which there may be a million
        self.lines.append(line)
        match = MESSAGE.match(line)
        self._job.log(MESSAGE.sub("", line), level=LEVELS[match[1] if match else None])
