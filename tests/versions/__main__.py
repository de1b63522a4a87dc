"""Run every operation on every supported version of PostgreSQL and print a line for each: `make versions`.

The exit status is 1 if a step fails. Version 15 is skipped if it isn't installed on the system; all others
come from packages and must be available.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError
from tests.npm_packages import NotInstalled
from tests.versions import servers
from tests.versions.cycle import ALL_STEPS, Cycle


def main() -> int:
    """Test the versions given on the command line, or all versions, and return the exit status."""
    versions = [int(argument) for argument in sys.argv[1:]] or list(servers.SUPPORTED_VERSIONS)
    failed = [major for major in versions if not run_version(major)]
    if failed:
        say(f"failed: {', '.join(map(str, failed))}")
    return 1 if failed else 0


def run_version(major: int) -> bool:
    """Test one version, print its line and return True if all steps passed or it was skipped."""
    try:
        found = servers.binaries(major)
    except (EmbeddedError, NotInstalled) as error:
        say(f"{major}  FAILED: no server available: {error}")
        return False
    if found is None:
        say(f"{major}  skipped: not installed on this system, and not available as a package")
        return True
    started, step_name = time.monotonic(), "start"
    with tempfile.TemporaryDirectory(prefix="deployctl-versions-") as name:
        try:
            with servers.running(found) as server:
                cycle = Cycle(servers.ordinary_owner(server.url(), "clinic"), major, Path(name))
                for step in ALL_STEPS:
                    step_name = step.__name__
                    step(cycle)
        except Exception as error:  # noqa: BLE001 - the other versions are still tested
            traceback.print_exc()
            say(f"{major}  FAILED at {step_name}: {type(error).__name__}: {error}")
            return False
    steps = ", ".join(step.__name__ for step in ALL_STEPS)
    say(
        f"{major}  ok  server {cycle.facts['server']}, dumped by {cycle.facts['dumped by']}, "
        f"{time.monotonic() - started:.1f} s: {steps}"
    )
    return True


def say(line: str) -> None:
    """Print a line immediately."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
