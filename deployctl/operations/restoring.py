"""Restoring a checked backup into an empty database, and comparing what arrived with the manifest."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deployctl.numbers import how_many
from deployctl.operations import counting, dump, restore_order, restore_progress
from deployctl.operations.base import Job, OperationFailed, ProcessFailed, param
from deployctl.operations.counting import Stock
from deployctl.operations.dump import CONNECTION
from deployctl.operations.manifest import Manifest, TableCount
from deployctl.operations.sentences import told
from deployctl.postgres.process import session_options
from deployctl.postgres.queries import relations, server
from deployctl.postgres.tools import find_tool

SHOWN = 10


@dataclass(frozen=True)
class RestoreParams:
    """What every operation takes that restores a backup; `restore_timed` reads `jobs`."""

    backup: str = param(
        "", label="Backup", help="Its name; empty for the newest of those trusted most.", maximum=200
    )
    jobs: int = param(
        2, label="Parallel jobs", help="Tables restored at the same time.", minimum=1, maximum=32
    )


def refuse_dangerous_role(session: psycopg.Connection) -> None:
    """A dump can hold functions that run programs on the server; only the role's lack of rights forbids it.

    Raises:
        OperationFailed: the role could; says what to do.
    """
    role = server.role(session)
    dangerous = server.dangerous_roles(session)
    if not dangerous:
        return
    what = "is a superuser" if role.superuser else f"is a member of {', '.join(dangerous)}"
    raise OperationFailed(
        f"Role {role.name} {what}, and what is restored with its rights could run programs on the server. "
        "Nothing was done. Have the target connect as an ordinary role that owns its database: "
        "CREATE ROLE … LOGIN CREATEDB; ALTER DATABASE … OWNER TO …; "
        "and put that role into the connection URL."
    )


def refuse_without_createdb(session: psycopg.Connection) -> None:
    """Raise OperationFailed, with the statement that helps, where the role may not create databases."""
    role = server.role(session)
    if not role.create_database:
        quoted = psycopg.sql.Identifier(role.name).as_string(session)
        raise OperationFailed(
            f"Role {role.name} may not create databases, but a backup is restored into a new one. "
            f"Nothing was done. A superuser gives the right with: ALTER ROLE {quoted} CREATEDB;"
        )


def restore_argv(program: Path, *, archive: Path, jobs: int, use_list: Path | None = None) -> list[str]:
    """pg_restore into the database that `PGDATABASE` names.

    Replication is not restored: a copy must not begin to receive or to announce another database's changes.

    Args:
        program: pg_restore, not older than the pg_dump that wrote the dump.
        archive: a folder in directory format or a file in custom format.
        jobs: tables restored at the same time.
        use_list: holds which entries, see `restore_order`; None for all.
    """
    return [
        str(program),
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--no-password",
        f"--jobs={jobs}",
        *([f"--use-list={use_list}"] if use_list else []),
        "--verbose",
        f"--dbname={CONNECTION}",
        "--",
        str(archive),
    ]


def restore(
    job: Job, folder: Path, written: Manifest, *, into: str, server_version: int, jobs: int, state: str
) -> None:
    """Run pg_restore.

    Args:
        folder, written: a backup that was checked.
        into: an empty database of the target's server.
        server_version: of that server, as `server_version_num`.
        state: a sentence on what state everything is in should it fail.

    Raises:
        OperationFailed: it failed.
        ToolMissing: there is no pg_restore that can read the dump.
    """
    dumped_by = int(re.split(r"\D", written.tool_version, maxsplit=1)[0])  # 18 of 18.1, of 18beta1
    tool = find_tool("pg_restore", server_major=server_version // 10000, dumped_by=dumped_by)
    job.log(f"{tool.path} {tool.version} restores {written.name} into {into}.")
    connection = job.target.connection.with_database(into)
    archive = written.archive(folder)
    with (
        tempfile.TemporaryDirectory(prefix="deployctl-") as lists,
        restore_progress.watching(job, written, into=into) as progress,
    ):
        for use_list, together in _turns(job, tool.path, archive, Path(lists), jobs):
            try:
                job.execute(
                    restore_argv(tool.path, archive=archive, jobs=together, use_list=use_list),
                    connection=connection,
                    env=session_options(connection, server_version),
                    while_running=progress.report,
                )
            except ProcessFailed as error:
                raise OperationFailed(f"{str(error).rstrip('.')}. {state}") from error
        progress.finish()


def _turns(
    job: Job, program: Path, archive: Path, lists: Path, jobs: int
) -> Iterator[tuple[Path | None, int]]:
    """What is restored, and by how many jobs: in one go with a single job, else in two."""
    if jobs == 1:
        yield None, 1
        return
    listing, together, in_turn = (lists / name for name in ("contents", "together", "in-turn"))
    job.execute(dump.list_argv(program, archive=archive, into=listing))
    # Names can be in any encoding; only what stands before them counts.
    parts = restore_order.split(listing.read_text(encoding="utf-8", errors="surrogateescape"))
    for path, entries, number in zip((together, in_turn), parts, (jobs, 1), strict=True):
        if entries:
            path.write_text(entries, encoding="utf-8", errors="surrogateescape")
            yield path, number


def restore_timed(
    job: Job, folder: Path, written: Manifest, *, into: str, session: psycopg.Connection, state: str
) -> float:
    """The same, with as many jobs as the run's `RestoreParams` say.

    Args:
        session: any on the target's server.

    Returns:
        How long it took, in seconds.
    """
    started = time.monotonic()
    restore(
        job,
        folder,
        written,
        into=into,
        server_version=session.info.server_version,
        jobs=job.params.jobs,
        state=state,
    )
    return time.monotonic() - started


@dataclass(frozen=True)
class Comparison:
    """What a restored copy was found to hold.

    `with_digests`: its content was compared, not only counted. `counted`: there were counts to compare with.
    """

    tables: int
    rows: int
    with_digests: bool
    counted: bool = True

    @property
    def extent(self) -> str:
        """How much it is, in words."""
        return f"{how_many(self.tables, 'table')} with {how_many(self.rows, 'row')}"

    @property
    def how(self) -> str:
        """What it was compared by, for a sentence that goes on "… what was backed up"."""
        if self.with_digests:
            return "and their content is what was backed up"
        if self.counted:
            return "and their number is what was backed up (the backup has no digests)"
        return "with nothing to compare them with (the dump was made elsewhere, without counts)"

    @property
    def trust(self) -> tuple[str, ...]:
        """The levels of trust that the restored backup has reached."""
        return ("hashed", "restored", "proven") if self.with_digests else ("hashed", "restored")


def compare(job: Job, session: psycopg.Connection, written: Manifest, *, state: str) -> Comparison:
    """Compare every table and the large objects of a restored copy with the manifest.

    Args:
        session: on the copy, used for nothing else afterwards.
        state: a sentence on what state everything is in should they differ.

    Raises:
        OperationFailed: they differ; names the tables.
    """
    with told(job, f"The restored copy could not be compared. {state} The server said"):
        relations.disable_row_security(session)
        tables = relations.tables(session)
        stock = Stock()
        done = iter(range(len(tables) + 1))

        def look() -> None:
            job.raise_if_cancelled()
            job.advance(next(done), len(tables), unit="tables", phase="compare")

        counting.take(session, tables, stock, with_digests=written.has_digests, look=look)
    found = Comparison(len(tables), sum(stock.tables.values()), written.has_digests, written.counted)
    if not written.counted:
        job.log(f"{found.extent}, {found.how}.", level="warning")
        return found
    differences = _differences(written, [stock.of(table) for table in tables], stock)
    if differences:
        for difference in differences:
            job.log(difference, level="error")
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise OperationFailed(
            f"The restored copy is not what was backed up: {'; '.join(differences[:SHOWN])}{more}. {state}"
        )
    how = "content and number of rows" if written.has_digests else "number of rows"
    job.log(f"Compared {how_many(len(tables), 'table')}: {how} are those of the backup.")
    return found


def _differences(written: Manifest, found: Sequence[TableCount], stock: Stock) -> list[str]:
    expected = {(count.schema, count.table): count for count in written.counts}
    present = {(count.schema, count.table): count for count in found}
    told = [f"table {expected[key].key} is missing" for key in sorted(expected.keys() - present.keys())]
    told += [
        f"table {present[key].key} was not backed up" for key in sorted(present.keys() - expected.keys())
    ]
    for key in sorted(expected.keys() & present.keys()):
        was, is_ = expected[key], present[key]
        if was.rows != is_.rows:
            told.append(f"{was.key} has {how_many(is_.rows, 'row')} instead of {was.rows:,}")
        elif was.digest is not None and is_.digest is not None and was.digest != is_.digest:
            told.append(f"{was.key} has the right number of rows, but other content")
    if written.has_digests and written.large_objects != stock.large_objects:
        told.append("the large objects differ")
    return told
