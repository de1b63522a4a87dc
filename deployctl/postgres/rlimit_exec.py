"""Run a program on untrusted input under resource limits.

Runs as a separate process (`python -I -S rlimit_exec.py MEMORY CPU FILE PROGRAM ARGUMENT…`, with limits in
bytes, seconds and bytes), which the program replaces. Imports nothing of this project.
"""

from __future__ import annotations

import os
import resource
import sys


def main(memory_bytes: int, cpu_s: int, file_bytes: int, argv: list[str]) -> None:
    """Set the limits, which the program's children inherit, and execute the program."""
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard_limit = resource.getrlimit(limit)
        if hard_limit != resource.RLIM_INFINITY:
            value = min(value, hard_limit)
        resource.setrlimit(limit, (value, value))
    os.execv(argv[0], argv)  # noqa: S606 - deliberately without a shell


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
