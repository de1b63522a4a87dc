"""The data directory of the PostgreSQL cluster: locate it, create it, and clear leftovers of a crash."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from deployctl.embedded.binaries import PostgresBinaries
from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.os_account import Account, make_shared_folder, shared_folder_for
from deployctl.embedded.private_files import write_private

INITDB_TIMEOUT_S = 120
LEFTOVER_TIMEOUT_S = 30
LC_CTYPE_MASK = 1  # LC_CTYPE_MASK of glibc and musl


def locate(folder: Path, account: Account, say: Callable[[str], None]) -> Path:
    """Return the path of the cluster of ``folder``: inside it, or in a folder that the account can enter.

    The path is chosen once and stored in ``folder/location``.
    """
    location_file = folder / "location"
    with suppress(FileNotFoundError):
        return Path(location_file.read_text(encoding="utf-8").strip())
    inside = folder / "cluster"
    if inside.is_dir() or account.can_enter(folder):
        return inside
    make_shared_folder()
    shared = shared_folder_for(folder)
    if shared.exists():
        # Its data folder was deleted, including the passwords. Keep the data in case it is needed.
        aside = shared.with_name(f"{shared.name}.old-{int(time.time())}")
        shared.rename(aside)
        say(
            f"An earlier cluster whose data folder no longer exists was moved to {aside}. Delete it if you "
            "don't need it."
        )
    shared.mkdir(mode=0o711)
    write_private(location_file, f"{shared / 'cluster'}\n")
    write_private(shared / "belongs-to", f"{folder.resolve()}\n")
    say(
        f"PostgreSQL runs under the account {account.name}, which can't enter {folder}. Its files are in "
        f"{shared}."
    )
    return shared / "cluster"


def major_of(cluster: Path) -> int | None:
    """Return the major version of the cluster, or None if there is no cluster yet."""
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def create(
    cluster: Path, binaries: PostgresBinaries, account: Account, *, password: str, durable: bool
) -> None:
    """Create a cluster with the superuser ``postgres``; leftovers of an interrupted attempt are replaced.

    Args:
        cluster: must not exist yet; its parent must.
        binaries: the PostgreSQL to use.
        account: the owner of the files.
        password: of the superuser; every connection needs a password (SCRAM).
        durable: False skips the flush to disk, for temporary clusters.

    Raises:
        EmbeddedError: initdb failed; its message is included.
    """
    partial = cluster.with_name(f"{cluster.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    account.own(partial)
    password_file = cluster.with_name("initial-password")
    write_private(password_file, password)
    account.own(password_file)
    try:
        result = account.run(
            [
                str(binaries["initdb"]),
                f"--pgdata={partial}",
                "--username=postgres",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *_locale_options(binaries.major),
                "--data-checksums",
                # Available since PostgreSQL 14.
                *(["--no-instructions"] if binaries.major >= 14 else []),
                *([] if durable else ["--no-sync"]),
            ],
            timeout=INITDB_TIMEOUT_S,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if result.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise EmbeddedError(
            f"PostgreSQL {binaries.major} could not create the cluster {cluster}; nothing was left "
            f"behind. initdb reported: {result.stderr.strip() or result.stdout.strip()}"
        )
    partial.rename(cluster)


def clear_leftovers(cluster: Path) -> None:
    """Stop a server that outlived its parent, and remove a PID file that would block the next server.

    The caller holds the lock of the data folder, so the server is not in use.

    Raises:
        EmbeddedError: the server doesn't stop.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if pid == 0 or not psutil.pid_exists(pid):
        return  # PostgreSQL itself detects the PID of a dead process
    process = psutil.Process(pid)
    if not _serves(process, cluster):
        # The PID was reused by another program, as happens after a reboot or in containers. PostgreSQL would
        # refuse to start, because it only checks that the process is alive.
        pid_file.unlink(missing_ok=True)
        return
    process.send_signal(signal.SIGINT)  # fast shutdown: ends connections and writes a checkpoint
    try:
        process.wait(LEFTOVER_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise EmbeddedError(
            f"A PostgreSQL server of an earlier start (process {pid}) doesn't stop and still uses {cluster}. "
            f"Stop it with `kill -INT {pid}` and start again."
        ) from None


def _serves(process: psutil.Process, cluster: Path) -> bool:
    try:
        return "postgres" in process.name() and Path(process.cwd()) == cluster.resolve()
    except psutil.Error:
        return False


def _locale_options(major: int) -> list[str]:
    """Return initdb's options for the same collation on every machine: by code point, with Unicode ctype."""
    if _c_utf8_is_known():
        return ["--locale=C.UTF-8"]
    if major >= 17:  # has a builtin provider: https://www.postgresql.org/docs/17/locale.html#LOCALE-PROVIDERS
        return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--no-locale"]


def _c_utf8_is_known() -> bool:
    # Unlike Python's locale module, newlocale doesn't change the locale of this process.
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.freelocale.argtypes = [ctypes.c_void_p]
    handle = library.newlocale(LC_CTYPE_MASK, b"C.UTF-8", None)
    if handle:
        library.freelocale(handle)
    return bool(handle)
