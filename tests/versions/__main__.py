"""The whole cycle on every version of PostgreSQL that is promised, one line each: `make versions`.

Exit status 1 when a step fails anywhere. A version that packages bring must be there; 15 may be missing
where the system does not have it.
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
from tests.versions.cycle import WHOLE, Cycle


def main() -> int:
    """Go through the versions named on the command line, else through all."""
    chosen = [int(word) for word in sys.argv[1:]] or list(servers.PROMISED)
    failed = [major for major in chosen if not passes(major)]
    if failed:
        say(f"failed: {', '.join(map(str, failed))}")
    return 1 if failed else 0


def passes(major: int) -> bool:
    """One version: print its line, and tell whether all went well."""
    try:
        found = servers.binaries(major)
    except (EmbeddedError, NotInstalled) as why:
        say(f"{major}  FAILED: there is no server to try: {why}")
        return False
    if found is None:
        say(f"{major}  left out: this system does not have it, and no package brings it")
        return True
    started, at = time.monotonic(), "start"
    with tempfile.TemporaryDirectory(prefix="deployctl-versions-") as name:
        try:
            with servers.running(found) as server:
                cycle = Cycle(servers.ordinary_owner(server.url(), "clinic"), major, Path(name))
                for step in WHOLE:
                    at = step.__name__
                    step(cycle)
        except Exception as error:  # noqa: BLE001 - one version's failure does not hide another's
            traceback.print_exc()
            say(f"{major}  FAILED at {at}: {type(error).__name__}: {error}")
            return False
    steps = ", ".join(step.__name__ for step in WHOLE)
    say(
        f"{major}  ok  server {cycle.facts['server']}, dumped by {cycle.facts['dumped by']}, "
        f"{time.monotonic() - started:.1f} s: {steps}"
    )
    return True


def say(line: str) -> None:
    """A line, at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
