"""Run a program on untrusted input under resource limits.

Runs as a process of its own (`python -I -S rlimit_exec.py MEMORY CPU FILE PROGRAM ARGUMENT…`, in bytes,
seconds and bytes), is replaced by the program, and imports nothing of this project.
"""

from __future__ import annotations

import os
import resource
import sys


def main(memory_bytes: int, cpu_s: int, file_bytes: int, argv: list[str]) -> None:
    """Set the limits, which the program's children inherit, and execute the program."""
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, ceiling = resource.getrlimit(limit)
        if ceiling != resource.RLIM_INFINITY:
            most = min(most, ceiling)
        resource.setrlimit(limit, (most, most))
    os.execv(argv[0], argv)  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
