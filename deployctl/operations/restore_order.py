"""Which parts of a dump may be restored side by side, and which only one after the other.

pg_restore's parallel jobs lock the table that an entry is about. A trigger, a foreign key or a check of a
partitioned table locks its partitions as well, which another job may be at just then: the two can end in a
deadlock, and the restore with it (seen with 18.4, two jobs, a trigger on a partitioned table).
"""

from __future__ import annotations

import re

# A line of `pg_restore --list` reads `3345; 2606 16397 FK CONSTRAINT public visit visit_person_fkey owner`.
ENTRY = re.compile(r"^\d+; \d+ \d+ (?P<what>.*)$")
# None of these takes long, so nothing is lost by doing them in turn. A comment may be on one of them.
QUICK = ("CHECK CONSTRAINT ", "TRIGGER ", "EVENT TRIGGER ", "COMMENT ", "SECURITY LABEL ")
# Reads both of its tables. Side by side where there are no partitions to lock.
FOREIGN_KEY = "FK CONSTRAINT "
PARTITION = "TABLE ATTACH "


def split(listing: str) -> tuple[str, str]:
    """Divide a dump's table of contents, keeping its order.

    Args:
        listing: as `pg_restore --list` prints it.

    Returns:
        Two lists for `pg_restore --use-list`: what may go side by side, and what comes after it in turn.
    """
    matches = [match for line in listing.splitlines() if (match := ENTRY.match(line))]
    partitioned = any(match["what"].startswith(PARTITION) for match in matches)
    later = (*QUICK, FOREIGN_KEY) if partitioned else QUICK
    parts: tuple[list[str], list[str]] = ([], [])
    for match in matches:
        parts[match["what"].startswith(later)].append(match[0])
    return "".join(f"{line}\n" for line in parts[0]), "".join(f"{line}\n" for line in parts[1])
