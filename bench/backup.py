"""How long our backup takes against the scripts that most people have, on this machine, in one run.

    python -m bench.backup --size 500

makes a database of that many megabytes on a PostgreSQL server of its own, in a temporary folder, then dumps
it in turn with `pg_dump | gzip`, `pg_dump -Fc` and the operation `backup`, and prints time, size and the
ratios. Ours includes counting and digesting every table, hashing every file, fsync and reading everything
back; theirs includes none of that. A further row is ours with counts alone, so that the cost of the digests
shows. Absolute times mean little on another machine; the ratios are the point.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deployctl.embedded.postgres import PostgresServer
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.backup import Backup
from deployctl.postgres import process
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.tools import find_tool

LIMIT_S = 3600
# A row of the tables below takes about this much, header and alignment included.
ROW_BYTES = 210
# Four tables of unequal size, as real schemas have them.
SHARES = {"appointment": 0.4, "test_result": 0.3, "customer": 0.2, "audit_entry": 0.1}
FILL = """
    CREATE TABLE {table} AS
    SELECT n AS id, md5(n::text) AS token, now() - n * interval '1 second' AS created_at,
           'customer ' || (n % 5000) AS name, 'status ' || (n % 7) AS status,
           repeat('note about the visit ', 3) || (n % 997) AS note, (n % 99991) * 7 % 100000 / 100.0 AS price
    FROM generate_series(1, {rows}) AS n
"""


def main() -> None:
    """Make the data, measure, print."""
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="deployctl-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        server = PostgresServer(folder / "postgres", settings={"max_wal_size": "4GB"})
        server.start()
        try:
            spec = parse_url(server.url())
            say(f"filling about {arguments.size} MB …")
            fill(spec, arguments.size)
            results = measure(spec, folder, rounds=arguments.rounds, jobs=arguments.jobs)
        finally:
            server.stop()
    print(json.dumps(results, indent=1) if arguments.json else table(results))  # noqa: T201


def read_arguments() -> argparse.Namespace:
    """Size, rounds, form of the answer."""
    parser = argparse.ArgumentParser(
        description="Compare the backup operation with pg_dump | gzip and pg_dump -Fc."
    )
    parser.add_argument("--size", type=int, default=500, help="megabytes of tables (default 500)")
    parser.add_argument("--rounds", type=int, default=3, help="each way is measured so often (default 3)")
    parser.add_argument("--jobs", type=int, default=2, help="parallel jobs of ours (default 2)")
    parser.add_argument("--json", action="store_true", help="print figures for a script")
    return parser.parse_args()


def fill(spec: ConnectionSpec, megabytes: int) -> None:
    """Tables whose rows compress as application data does."""
    with connect(spec, application_name="bench") as session:
        for name, share in SHARES.items():
            rows = max(1, int(megabytes * 1_000_000 * share / ROW_BYTES))
            session.execute(FILL.format(table=name, rows=rows).encode())
        session.execute("VACUUM ANALYZE")
        session.execute("CHECKPOINT")


def measure(spec: ConnectionSpec, folder: Path, *, rounds: int, jobs: int) -> dict[str, dict[str, float]]:
    """Every way in every round, so that a noisy neighbour disturbs all alike; the median counts."""
    with connect(spec, application_name="bench") as session:
        pg_dump = str(find_tool("pg_dump", server_major=session.info.server_version // 10000).path)
    plain, custom = folder / "plain.sql.gz", folder / "custom.dump"
    ways: dict[str, Callable[[int], int]] = {
        "pg_dump | gzip": lambda _: run(spec, ["sh", "-c", f'"$0" | gzip > "{plain}"', pg_dump], plain),
        "pg_dump -Fc": lambda _: run(spec, [pg_dump, "-Fc", f"--file={custom}"], custom),
        "deployctl": lambda number: ours(spec, folder, number, jobs, digests=True),
        "… without digests": lambda number: ours(spec, folder, number, jobs, digests=False),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    sizes: dict[str, int] = {}
    for number in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            sizes[name] = way(number)
            times[name].append(time.perf_counter() - started)
            say(f"round {number + 1}: {name} {times[name][-1]:.2f} s")
    base_time, base_size = statistics.median(times["pg_dump | gzip"]), sizes["pg_dump | gzip"]
    return {
        name: {
            "seconds": round(statistics.median(times[name]), 3),
            "bytes": sizes[name],
            "time_ratio": round(statistics.median(times[name]) / base_time, 3),
            "size_ratio": round(sizes[name] / base_size, 3),
        }
        for name in ways
    }


def run(spec: ConnectionSpec, argv: list[str], into: Path) -> int:
    """One of the usual ways; returns the bytes written."""
    with process.child_environment(spec, application_name="bench") as env:
        completed = process.run(argv, env=env, timeout_s=LIMIT_S)
    if not completed.ok:
        raise SystemExit(f"{argv} ended with {completed}")
    size = into.stat().st_size
    into.unlink()
    return size


def ours(spec: ConnectionSpec, folder: Path, number: int, jobs: int, *, digests: bool) -> int:
    """The operation, complete; returns the bytes written."""
    params = Backup.Params(jobs=jobs, digests=digests)
    job = FakeJob(spec, params=params, tmp_path=folder, run_id=number, time_limit_s=LIMIT_S)
    artefact = Backup().perform(job).artefact
    job.close()
    if artefact is None:
        raise SystemExit("the operation made no backup")
    for path in artefact.path.iterdir():
        path.unlink()
    artefact.path.rmdir()
    return artefact.size_bytes


def table(results: dict[str, dict[str, float]]) -> str:
    """For people."""
    lines = [f"{'way':18} {'time':>10} {'ratio':>7} {'size':>12} {'ratio':>7}"]
    lines += [
        f"{name:18} {r['seconds']:>8.2f} s {r['time_ratio']:>7.2f}"
        f" {r['bytes'] / 1e6:>9.1f} MB {r['size_ratio']:>7.2f}"
        for name, r in results.items()
    ]
    return "\n".join(lines)


def say(text: str) -> None:
    """Tell what is going on, apart from the result."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
