"""Benchmark the `backup` operation against plain pg_dump scripts.

    python -m bench.backup --size 500

starts a PostgreSQL server in a temporary folder, fills a database with that many megabytes, dumps it with
`pg_dump | gzip`, `pg_dump -Fc` and the operation `backup` in turn, and prints times, sizes and ratios. The
operation also counts the rows and computes a digest of every table, hashes every file, calls fsync and reads
everything back; the scripts do none of that. A fourth row shows the operation without digests. Compare the
ratios, not the absolute times, which depend on the machine.
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
# Approximate size of a row in the tables below, with header and alignment.
ROW_BYTES = 210
# Four tables of unequal size, as in real schemas.
SHARES = {"appointment": 0.4, "test_result": 0.3, "customer": 0.2, "audit_entry": 0.1}
FILL = """
    CREATE TABLE {table} AS
    SELECT n AS id, md5(n::text) AS token, now() - n * interval '1 second' AS created_at,
           'customer ' || (n % 5000) AS name, 'status ' || (n % 7) AS status,
           repeat('note about the visit ', 3) || (n % 997) AS note, (n % 99991) * 7 % 100000 / 100.0 AS price
    FROM generate_series(1, {rows}) AS n
"""


def main() -> None:
    """Create the database, run the benchmark and print the results."""
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="deployctl-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        server = PostgresServer(folder / "postgres", settings={"max_wal_size": "4GB"})
        server.start()
        try:
            spec = parse_url(server.url())
            log(f"filling about {arguments.size} MB …")
            fill(spec, arguments.size)
            results = measure(spec, folder, rounds=arguments.rounds, jobs=arguments.jobs)
        finally:
            server.stop()
    print(json.dumps(results, indent=1) if arguments.json else table(results))  # noqa: T201


def read_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Compare the backup operation with pg_dump | gzip and pg_dump -Fc."
    )
    parser.add_argument("--size", type=int, default=500, help="megabytes of tables (default 500)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements per method (default 3)")
    parser.add_argument("--jobs", type=int, default=2, help="parallel jobs of the operation (default 2)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args()


def fill(spec: ConnectionSpec, megabytes: int) -> None:
    """Create tables whose rows compress like application data."""
    with connect(spec, application_name="bench") as session:
        for name, share in SHARES.items():
            rows = max(1, int(megabytes * 1_000_000 * share / ROW_BYTES))
            session.execute(FILL.format(table=name, rows=rows).encode())
        session.execute("VACUUM ANALYZE")
        session.execute("CHECKPOINT")


def measure(spec: ConnectionSpec, folder: Path, *, rounds: int, jobs: int) -> dict[str, dict[str, float]]:
    """Return the median time and the size for each method.

    Every round runs every method once, so other load on the machine affects all methods equally.
    """
    with connect(spec, application_name="bench") as session:
        pg_dump = str(find_tool("pg_dump", server_major=session.info.server_version // 10000).path)
    plain, custom = folder / "plain.sql.gz", folder / "custom.dump"
    methods: dict[str, Callable[[int], int]] = {
        "pg_dump | gzip": lambda _: run_script(
            spec, ["sh", "-c", f'"$0" | gzip > "{plain}"', pg_dump], plain
        ),
        "pg_dump -Fc": lambda _: run_script(spec, [pg_dump, "-Fc", f"--file={custom}"], custom),
        "deployctl": lambda number: run_operation(spec, folder, number, jobs, digests=True),
        "… without digests": lambda number: run_operation(spec, folder, number, jobs, digests=False),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    sizes: dict[str, int] = {}
    for number in range(rounds):
        for name, method in methods.items():
            started = time.perf_counter()
            sizes[name] = method(number)
            times[name].append(time.perf_counter() - started)
            log(f"round {number + 1}: {name} {times[name][-1]:.2f} s")
    base_time, base_size = statistics.median(times["pg_dump | gzip"]), sizes["pg_dump | gzip"]
    return {
        name: {
            "seconds": round(statistics.median(times[name]), 3),
            "bytes": sizes[name],
            "time_ratio": round(statistics.median(times[name]) / base_time, 3),
            "size_ratio": round(sizes[name] / base_size, 3),
        }
        for name in methods
    }


def run_script(spec: ConnectionSpec, argv: list[str], output: Path) -> int:
    """Run a plain pg_dump script and return the number of bytes written."""
    with process.child_environment(spec, application_name="bench") as env:
        completed = process.run(argv, env=env, timeout_s=LIMIT_S)
    if not completed.ok:
        raise SystemExit(f"{argv} failed: {completed}")
    size = output.stat().st_size
    output.unlink()
    return size


def run_operation(spec: ConnectionSpec, folder: Path, number: int, jobs: int, *, digests: bool) -> int:
    """Run the complete backup operation and return the number of bytes written."""
    params = Backup.Params(jobs=jobs, digests=digests)
    job = FakeJob(spec, params=params, tmp_path=folder, run_id=number, time_limit_s=LIMIT_S)
    artefact = Backup().perform(job).artefact
    job.close()
    if artefact is None:
        raise SystemExit("the operation created no backup")
    for path in artefact.path.iterdir():
        path.unlink()
    artefact.path.rmdir()
    return artefact.size_bytes


def table(results: dict[str, dict[str, float]]) -> str:
    """Format the results as a text table."""
    lines = [f"{'method':18} {'time':>10} {'ratio':>7} {'size':>12} {'ratio':>7}"]
    lines += [
        f"{name:18} {r['seconds']:>8.2f} s {r['time_ratio']:>7.2f}"
        f" {r['bytes'] / 1e6:>9.1f} MB {r['size_ratio']:>7.2f}"
        for name, r in results.items()
    ]
    return "\n".join(lines)


def log(text: str) -> None:
    """Print progress to standard error."""

    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
