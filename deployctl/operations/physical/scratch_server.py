"""Start an isolated server on a restored cluster, to recover and to query it."""

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

PORT = 5432  # only used in the socket's name
SUPERUSER = "postgres"
POLL_S = 0.1
STOP_WITHIN_S = 60.0
TAIL_BYTES = 16 * 1024
REPLAYED = re.compile(rb"restored log file")
READY = b"database system is ready to accept connections"
MESSAGE = re.compile(r"(?:FATAL|PANIC|ERROR): +(.*)")

# Settings on the command line override the cluster's files, including postgresql.auto.conf.
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "archive_mode": "off",
    # Without sessions during recovery, the settings needn't match the original's.
    "hot_standby": "off",
    # No background work of the original: preloaded libraries, subscriptions, recovery commands.
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
    # It shares the machine, perhaps with the original, and its data is discarded.
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "fsync": "off",
}
# These must be at least as large as on the original (PostgreSQL manual, "Hot Standby"): setting → its name in
# the output of pg_controldata.
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
        job: the run, which gets the server's output and can be cancelled.
        scratch: the folder of the cluster.
        binaries: of the same major version as the cluster.
        account: the owner of the cluster.
    """

    def __init__(
        self, job: Job, scratch: ScratchFolder, binaries: PostgresBinaries, account: Account
    ) -> None:
        self._job, self._scratch, self._binaries, self._account = job, scratch, binaries, account
        self._stopped = threading.Event()
        self._tail = bytearray()
        self._segments = 0
        self._ready = threading.Event()

    @contextlib.contextmanager
    def recovered(self) -> Iterator[None]:
        """Run the server, yield when recovery has ended, and stop the server afterwards.

        Raises:
            OperationFailed: recovery didn't reach its target, or the server didn't start.
        """
        argv = [str(self._binaries["postgres"]), "-D", str(self._scratch.cluster)]
        for name, value in self._settings().items():
            argv += ["-c", f"{name}={value}"]
        argv, env = as_account(self._account, argv, stop="QUIT")
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="scratch") as pool:
            # The server runs in another thread, because this one queries it meanwhile.
            process = pool.submit(
                self._job.execute,
                argv,
                env=env,
                cwd=Path("/"),
                on_output=self._read,
                while_running=self._raise_if_stopped,
            )
            try:
                self._wait_until_ready(process)
                yield
            finally:
                self._stop(process)

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        """Open a read-only session as a superuser.

        Raises:
            CannotConnect: the server didn't accept it.
        """
        return self._connect(SUPERUSER, dbname)

    def _connect(self, role: str, dbname: str) -> psycopg.Connection:
        spec = ConnectionSpec(str(self._scratch.socket), PORT, role, "", dbname)
        try:
            return connect(spec, application_name=self._job.application_name, read_only=True)
        except CannotConnect as error:
            # The cluster's first role may have another name; the target's role exists in any case.
            target_role = self._job.target.connection.user
            if error.reason != Reason.NO_SUCH_ROLE or role == target_role:
                raise
            return self._connect(target_role, dbname)

    def _settings(self) -> Mapping[str, str]:
        # The original's configuration may be outside of the cluster (as on Debian) or include other files.
        # "trust" is safe here, because only the account has access to the socket's folder.
        files = {"postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}
        for name, content in files.items():
            (self._scratch.folder / name).write_text(content, encoding="utf-8")
            (self._scratch.folder / name).chmod(0o644)
        own = {
            "config_file": str(self._scratch.folder / "postgresql.conf"),
            "hba_file": str(self._scratch.folder / "pg_hba.conf"),
            "ident_file": str(self._scratch.folder / "pg_ident.conf"),
            "unix_socket_directories": str(self._scratch.socket),
            # The original's setting may name a file of its own server.
            "external_pid_file": str(self._scratch.cluster / "external.pid"),
        }
        return SETTINGS | own | self._control_file_settings()

    def _control_file_settings(self) -> dict[str, str]:
        completed = self._account.run(
            [str(self._binaries["pg_controldata"]), str(self._scratch.cluster)], timeout=30
        )
        lines = (line.partition(":") for line in completed.stdout.splitlines())
        control = {name.strip(): value.strip() for name, _, value in lines}
        return {name: control[key] for name, key in FROM_CONTROL_FILE.items() if key in control}

    def _read(self, _stream: str, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        self._segments += len(REPLAYED.findall(chunk))
        if READY in self._tail:
            self._ready.set()

    def _wait_until_ready(self, process: Future[Completed]) -> None:
        """Wait until the server accepts connections, which without hot standby is the end of recovery.

        The server's output is read for that, because each rejected connection would log a FATAL line.
        """
        while True:
            self._job.raise_if_cancelled()
            self._job.advance(self._segments, None, unit="WAL segments", phase="recover")
            if self._ready.wait(POLL_S):
                return
            if process.done():
                raise self._failure(process.exception())

    def _stop(self, process: Future[Completed]) -> None:
        """Stop the server with a fast shutdown, which releases its shared memory; kill it after a timeout."""
        if not process.done():
            with contextlib.suppress(OSError, ValueError):
                pid = int((self._scratch.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
                os.kill(pid, signal.SIGINT)
            wait([process], timeout=STOP_WITHIN_S)
        self._stopped.set()

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise OperationFailed("The scratch server is no longer needed.")

    def _failure(self, error: BaseException | None) -> BaseException:
        """Return the error for a server that ended during recovery."""
        if error is not None and not isinstance(error, ProcessFailed):
            return error
        messages = MESSAGE.findall(self._tail.decode(errors="replace"))
        reason = messages[-1] if messages else "it gave no reason"
        advice = ""
        if "before configured recovery target was reached" in reason:
            advice = (
                " The archive contains no later transaction yet. Choose an earlier time, or archive the "
                "current WAL segment with SELECT pg_switch_wal() on the target and try again."
            )
        return OperationFailed(
            f"The restored server ended during recovery: {reason}. The target is unchanged, and the restored "
            f"cluster is removed.{advice}"
        )
