"""A restored cluster, started to recover and be looked at: nobody else reaches it, and it reaches nobody."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import psycopg

from deployctl.embedded.binaries import PostgresBinaries
from deployctl.embedded.os_account import Account
from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed
from deployctl.operations.physical.pgbackrest import as_account
from deployctl.operations.physical.scratch_folder import ScratchFolder
from deployctl.postgres.connection import CannotConnect, ConnectionSpec, Reason, connect
from deployctl.postgres.process import Completed

PORT = 5432  # only a part of the socket's name
SUPERUSER = "postgres"
POLL_S = 0.1
STOP_WITHIN_S = 60.0
LAST_LINES_BYTES = 16 * 1024
REPLAYED = re.compile(rb"restored log file")
READY = b"database system is ready to accept connections"
MESSAGE = re.compile(r"(?:FATAL|PANIC|ERROR): +(.*)")

# The command line outweighs every file of the cluster, also what ALTER SYSTEM left.
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "archive_mode": "off",
    # No sessions before recovery has reached its end: then the settings of the original need not be matched.
    "hot_standby": "off",
    # What the original is told to do besides serving: jobs, subscriptions, commands of its recovery.
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "autovacuum": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "lc_messages": "C",
    # It shares the machine, perhaps with the original, and is thrown away.
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "fsync": "off",
}
# Not smaller than the original's, whose prepared transactions come back: setting → pg_controldata's name.
FROM_CONTROL_FILE = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


class ScratchServer:
    """A server on a restored cluster.

    Args:
        job: shares its output and its end.
        place: of the cluster.
        binaries: of exactly the major version that wrote it.
        account: owns the cluster.
    """

    def __init__(self, job: Job, place: ScratchFolder, binaries: PostgresBinaries, account: Account) -> None:
        self._job, self._place, self._binaries, self._account = job, place, binaries, account
        self._abandoned = threading.Event()
        self._tail = bytearray()
        self._segments = 0
        self._ready = threading.Event()

    @contextlib.contextmanager
    def recovered(self) -> Iterator[None]:
        """Run the server, and go on inside once recovery has ended as asked; stopped afterwards.

        Raises:
            OperationFailed: recovery did not reach its target, or the server does not start.
        """
        argv = [str(self._binaries["postgres"]), "-D", str(self._place.cluster)]
        for name, value in self._settings().items():
            argv += ["-c", f"{name}={value}"]
        argv, env = as_account(self._account, argv, stop="QUIT")
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="scratch") as pool:
            # In a thread, for this one looks at the server meanwhile.
            ended = pool.submit(
                self._job.execute,
                argv,
                env=env,
                cwd=Path("/"),
                on_output=self._read,
                while_running=self._raise_if_abandoned,
            )
            try:
                self._wait(ended)
                yield
            finally:
                self._stop(ended)

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        """A session that only reads.

        Raises:
            CannotConnect: the server does not answer.
        """
        return self._connect(SUPERUSER, dbname)

    def _connect(self, role: str, dbname: str) -> psycopg.Connection:
        where = ConnectionSpec(str(self._place.socket), PORT, role, "", dbname)
        try:
            return connect(where, application_name=self._job.application_name, read_only=True)
        except CannotConnect as error:
            # A cluster's first role need not have the usual name; the target's own is there as well.
            own = self._job.target.connection.user
            if error.reason != Reason.NO_SUCH_ROLE or role == own:
                raise
            return self._connect(own, dbname)

    def _settings(self) -> Mapping[str, str]:
        # The configuration of the original may lie outside of the cluster (as on Debian) or name files of its
        # own; who may connect is decided by the folder of the socket, which only the account enters.
        files = {"postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}
        for name, content in files.items():
            (self._place.folder / name).write_text(content, encoding="utf-8")
            (self._place.folder / name).chmod(0o644)
        own = {
            "config_file": str(self._place.folder / "postgresql.conf"),
            "hba_file": str(self._place.folder / "pg_hba.conf"),
            "ident_file": str(self._place.folder / "pg_ident.conf"),
            "unix_socket_directories": str(self._place.socket),
            # The original's may be a file that its own server has written.
            "external_pid_file": str(self._place.cluster / "external.pid"),
        }
        return SETTINGS | own | self._matching()

    def _matching(self) -> dict[str, str]:
        read = self._account.run(
            [str(self._binaries["pg_controldata"]), str(self._place.cluster)], timeout=30
        )
        lines = (line.partition(":") for line in read.stdout.splitlines())
        control = {name.strip(): value.strip() for name, _, value in lines}
        return {name: control[key] for name, key in FROM_CONTROL_FILE.items() if key in control}

    def _read(self, _stream: str, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-LAST_LINES_BYTES:]
        self._segments += len(REPLAYED.findall(chunk))
        if READY in self._tail:
            self._ready.set()

    def _wait(self, ended: Future[Completed]) -> None:
        """Until it lets sessions in: without hot standby, when recovery has ended.

        Its own word is waited for: each session refused before would be a FATAL line in the run's log.
        """
        while True:
            self._job.raise_if_cancelled()
            self._job.advance(self._segments, None, unit="WAL segments", phase="recover")
            if self._ready.wait(POLL_S):
                return
            if ended.done():
                raise self._failed(ended.exception())

    def _stop(self, ended: Future[Completed]) -> None:
        """In order if it can be, so that it gives back its shared memory; by force otherwise."""
        if not ended.done():
            with contextlib.suppress(OSError, ValueError):
                pid = int((self._place.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
                os.kill(pid, signal.SIGINT)
            wait([ended], timeout=STOP_WITHIN_S)
        self._abandoned.set()

    def _raise_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise OperationFailed("The scratch server is not needed any more.")

    def _failed(self, error: BaseException | None) -> BaseException:
        """Why the server ended by itself."""
        if error is not None and not isinstance(error, ProcessFailed):
            return error
        messages = MESSAGE.findall(self._tail.decode(errors="replace"))
        said = messages[-1] if messages else "nothing about it"
        advice = ""
        if "before configured recovery target was reached" in said:
            advice = (
                " The archive holds no transaction after that moment yet. Choose an earlier one, or wait "
                "until the next WAL segment is archived (SELECT pg_switch_wal() on the target has it "
                "archived now)."
            )
        return OperationFailed(
            f"The restored server ended during recovery. It said: {said}. The target was not touched, and "
            f"what was restored is removed.{advice}"
        )
