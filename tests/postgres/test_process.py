"""Tests for running programs: their environment, their output, and that none survives."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from deployctl.postgres import pass_file, process
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.process import CannotStart, Completed, child_environment
from deployctl.postgres.queries import activity
from deployctl.postgres.tools import find_tool
from tests.large import make_large
from tests.waiting import until

SPEC = ConnectionSpec(host="db.example", port=5432, user="app", password="s3cret", dbname="shop")
PATH = {"PATH": os.defpath}


def run(
    script: str, *arguments: str, timeout_s: float = 60, **options: object
) -> tuple[Completed, bytes, bytes]:
    received: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def on_output(stream: str, chunk: bytes) -> None:
        received[stream] += chunk

    completed = process.run(
        ["sh", "-c", script, "sh", *arguments],
        env=PATH,
        on_output=on_output,
        timeout_s=timeout_s,
        **options,  # type: ignore[arg-type]
    )
    return completed, received["stdout"], received["stderr"]


def test_output_and_exit_status_are_returned() -> None:
    completed, out, err = run("printf 'out\\0\\377'; printf err >&2; exit 3")

    assert (completed.exit_status, completed.signal, completed.ok) == (3, None, False)
    assert (out, err) == (b"out\0\xff", b"err")


def test_arguments_are_not_interpreted_by_a_shell() -> None:
    arguments = ["$(touch /tmp/never)", "a b", "", "--", "'\""]

    _, out, _ = run('printf "%s\\n" "$@"', *arguments)

    assert out.decode().split("\n")[:-1] == arguments


def test_ten_megabytes_of_output_arrive_complete() -> None:
    sizes: list[int] = []

    process.run(
        ["head", "-c", "10000000", "/dev/zero"],
        env=PATH,
        on_output=lambda _, chunk: sizes.append(len(chunk)),
        timeout_s=60,
    )

    assert sum(sizes) == 10_000_000
    assert max(sizes) <= process.CHUNK_BYTES


def test_a_signal_is_distinguished_from_an_exit_status() -> None:
    completed, _, _ = run("kill -9 $$")

    assert (completed.exit_status, completed.signal) == (None, signal.SIGKILL)


def test_a_missing_program_or_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no-such-program wasn't found"):
        process.run(["no-such-program"], env=PATH, timeout_s=5)
    with pytest.raises(CannotStart, match="does not exist"):
        process.run(["true"], env=PATH, cwd=tmp_path / "gone", timeout_s=5)


def test_a_file_that_is_not_executable_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_bytes(b"\x7fELF nonsense")
    script.chmod(0o755)

    with pytest.raises(CannotStart, match="could not be started"):
        process.run([str(script)], env=PATH, timeout_s=5)


def test_a_program_that_exceeds_its_time_limit_is_stopped() -> None:
    turns: list[None] = []

    completed, _, _ = run("sleep 600", timeout_s=0.3, while_running=lambda: turns.append(None))

    assert completed.stopped == process.TIME_LIMIT
    assert len(turns) * process.TICK_S < 3


def test_a_program_that_ignores_sigterm_is_killed_within_five_seconds() -> None:
    ready: list[bytes] = []
    # The number of iterations times their duration, which doesn't depend on the load of the machine.
    turns: list[None] = []

    completed = process.run(
        ["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"],
        env=PATH,
        on_output=lambda _, chunk: ready.append(chunk),
        should_stop=lambda: "cancelled by Dana Baker" if ready else None,
        while_running=lambda: turns.append(None) if ready else None,
        timeout_s=60,
    )

    assert completed.stopped == "cancelled by Dana Baker"
    assert completed.signal == signal.SIGKILL
    assert len(turns) * process.TICK_S < 5


def test_an_exception_in_a_callback_stops_the_program() -> None:
    seen: list[int] = []

    def on_output(_: str, chunk: bytes) -> None:
        seen.append(int(chunk))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        process.run(["sh", "-c", "echo $$; sleep 600"], env=PATH, on_output=on_output, timeout_s=60)
    assert not psutil.pid_exists(seen[0])


def test_remaining_children_of_a_program_are_killed(tmp_path: Path) -> None:
    # In a session of its own with redirected output, so that neither group nor pipe leads to it.
    child = "echo $$ > $0/pid; mv $0/pid $0/ready; exec sleep 600"
    completed, _, _ = run(
        'setsid sh -c "$2" "$1" >/dev/null 2>&1 & until [ -e "$1/ready" ]; do sleep 0.02; done',
        str(tmp_path),
        child,
    )

    assert completed.ok
    assert not psutil.pid_exists(int((tmp_path / "ready").read_text()))


def test_a_program_inherits_no_file_descriptors() -> None:
    with Path("/etc/hostname").open() as ours:
        os.set_inheritable(ours.fileno(), True)
        _, out, _ = run("ls /proc/self/fd")

    # 0, 1, 2 and the descriptor that ls itself opens.
    assert len(out.split()) == 4


def test_the_environment_contains_only_known_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of-somebody-else")
    monkeypatch.setenv("SECRET_KEY", "of-the-application")

    with child_environment(SPEC, application_name="deployctl:7:1", extra={"EXTRA": "1"}) as env:
        shown = dict(env)
        path = Path(env["PGPASSFILE"])
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_text()

    assert set(shown) <= {
        *(
            "PATH",
            "HOME",
            "TMPDIR",
            "LANG",
            "PGAPPNAME",
            "PSQLRC",
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGDATABASE",
        ),
        *("PGCONNECT_TIMEOUT", "PGPASSFILE", "EXTRA"),
    }
    assert shown["PGDATABASE"] == "shop"
    assert shown["PGAPPNAME"] == "deployctl:7:1"
    assert shown["PSQLRC"] == "/dev/null"
    assert not any("s3cret" in value for value in shown.values())
    assert (mode, content) == (0o600, "db.example:5432:*:app:s3cret\n")
    assert not path.parent.exists()


def test_connection_parameters_are_passed_as_libpq_variables() -> None:
    spec = replace(SPEC, options={"sslmode": "verify-full", "sslrootcert": "/ca.pem", "schema": "public"})

    with child_environment(spec, application_name="x") as env:
        assert (env["PGSSLMODE"], env["PGSSLROOTCERT"]) == ("verify-full", "/ca.pem")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"password": r"a:b\c"}, "db.example:5432:*:app:a\\:b\\\\c\n"),
        ({"host": "::1"}, "\\:\\:1:5432:*:app:s3cret\n"),
        ({"host": "/tmp"}, "*:5432:*:app:s3cret\n"),
        ({"user": "line\nbreak"}, "db.example:5432:*:*:s3cret\n"),
    ],
)
def test_the_password_file_is_escaped(changes: dict[str, str], line: str) -> None:
    assert pass_file.pass_file_line(replace(SPEC, **changes)) == line  # type: ignore[arg-type]


def test_a_password_with_a_line_break_is_rejected() -> None:
    with pytest.raises(pass_file.UnusablePassword, match="line break"):
        pass_file.pass_file_line(replace(SPEC, password="a\nb"))


def test_psql_connects_with_a_password_of_special_characters(
    make_database: Callable[..., str], postgres_superuser_url: str
) -> None:
    spec = replace(parse_url(make_database()), password=r"it's: a \ %40 $(x)")
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                psycopg.sql.Identifier(spec.user), psycopg.sql.Literal(spec.password)
            )
        )
    tool = find_tool("pg_dump", server_major=connect_major(spec))
    with child_environment(spec, application_name="x") as env:
        completed = process.run([str(tool.path), "--no-password", "--schema-only"], env=env, timeout_s=60)

    assert completed.ok


def test_older_servers_get_no_unknown_setting() -> None:
    assert process.session_options(SPEC, 130011) == {}
    assert process.session_options(SPEC, 140000) == {"PGOPTIONS": "-c client_connection_check_interval=1s"}


# Unique among parallel test processes.
MARK = f"deployctl:{os.getpid()}:"

WORKER = """
    import json, os, sys
    from deployctl.postgres import process
    from deployctl.postgres.connection import parse_url

    spec = parse_url(os.environ["URL"])
    with process.child_environment(spec, application_name=os.environ["MARK"] + "1") as env:
        process.run(json.loads(sys.argv[1]), env=env, timeout_s=600)
"""


def test_sigkill_ends_a_parallel_dump_and_its_sessions_in_two_seconds(
    make_database: Callable[..., str], tmp_path: Path
) -> None:

    url = make_database()
    spec = parse_url(url)
    with connect(spec, application_name="fill") as session:
        make_large(session, "one", "two")
    tool = find_tool("pg_dump", server_major=connect_major(spec))
    argv = [str(tool.path), "-Fd", "-j2", "-Z1", f"--file={tmp_path / 'dump'}"]
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), json.dumps(argv)],
        env={**os.environ, "URL": url, "MARK": MARK},
    )
    try:
        with connect(spec, application_name="watch") as watch:
            # The leader and two workers.
            until(lambda: len(activity.pids_named(watch, MARK)) == 3)
            tree = psutil.Process(worker.pid).children(recursive=True)
            assert len(tree) >= 4  # guard, leader, two workers
            password = Path(tree[0].environ()["PGPASSFILE"])
            assert password.exists()

            worker.kill()
            took = until(lambda: not any(alive(member) for member in tree))
            took += until(lambda: not activity.pids_named(watch, MARK))
            until(lambda: not password.parent.exists(), seconds=1)
    finally:
        worker.kill()
        worker.wait()

    assert took < 2


def test_killing_the_guard_ends_the_program(tmp_path: Path) -> None:
    pids: list[int] = []

    def kill_guard() -> None:
        if pids:
            return
        # The test server may be a child of this process, too.
        guards = [child for child in psutil.Process().children() if str(process.GUARD) in child.cmdline()]
        tree = [member for guard in guards for member in guard.children(recursive=True)]
        if len(tree) == 2:
            pids.extend(member.pid for member in tree)
            guards[0].kill()

    completed = process.run(["sh", "-c", "sleep 600; true"], env=PATH, while_running=kill_guard, timeout_s=60)

    assert completed.signal == signal.SIGKILL
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), seconds=2)


def test_leftover_password_files_are_removed_by_their_prefix() -> None:
    with child_environment(SPEC, application_name=f"{MARK}7") as env:
        path = Path(env["PGPASSFILE"])
        pass_file.remove_leftovers(f"{MARK}8")
        assert path.exists(), "somebody else's"
        pass_file.remove_leftovers(MARK)
        assert not path.parent.exists()


def test_another_password_file_is_never_removed() -> None:
    assert pass_file.pass_file_of({"PGPASSFILE": "/root/.pgpass"}) == ""
    assert pass_file.pass_file_of({}) == ""


def connect_major(spec: ConnectionSpec) -> int:
    with connect(spec, application_name="version") as session:
        return session.info.server_version // 10000


def alive(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_program_receives_the_signals_that_the_guard_ignores() -> None:
    completed, _, _ = run("kill -INT $$; sleep 5")

    assert completed.signal == signal.SIGINT
