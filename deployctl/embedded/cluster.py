"""The folder of a PostgreSQL cluster: where it lies, how it is made, what an earlier server left in it."""

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
    """Return where the cluster of ``folder`` lies: inside it, or in a place the account can reach.

    The place is decided once and remembered in ``folder/location``.
    """
    note = folder / "location"
    with suppress(FileNotFoundError):
        return Path(note.read_text(encoding="utf-8").strip())
    inside = folder / "cluster"
    if inside.is_dir() or account.can_enter(folder):
        return inside
    make_shared_folder()
    place = shared_folder_for(folder)
    if place.exists():
        # Its data folder was deleted, and the passwords with it. Data is never deleted on a guess.
        aside = place.with_name(f"{place.name}.old-{int(time.time())}")
        place.rename(aside)
        say(
            f"An earlier cluster whose data folder is gone was moved to {aside}; delete it if you do not "
            "need it."
        )
    place.mkdir(mode=0o711)
    write_private(note, f"{place / 'cluster'}\n")
    write_private(place / "belongs-to", f"{folder.resolve()}\n")
    say(
        f"PostgreSQL runs as the account {account.name}, which cannot enter {folder}: its files are kept in "
        f"{place}."
    )
    return place / "cluster"


def major_of(cluster: Path) -> int | None:
    """Return the major version that wrote the cluster, None when there is no cluster yet."""
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def create(
    cluster: Path, binaries: PostgresBinaries, account: Account, *, password: str, durable: bool
) -> None:
    """Make a new cluster whose superuser is ``postgres``; what a killed attempt left behind is replaced.

    Args:
        cluster: must not exist yet; its parent must.
        binaries: which PostgreSQL to use.
        account: becomes the owner.
        password: of the superuser; every connection needs one (SCRAM).
        durable: False saves the flush to disk, for clusters that are thrown away.

    Raises:
        EmbeddedError: when initdb fails, with its message.
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
                # Known from 14 on; before, what it prints is dropped all the same.
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
            f"PostgreSQL {binaries.major} could not create its data folder {cluster}; nothing was left "
            f"behind. initdb says: {result.stderr.strip() or result.stdout.strip()}"
        )
    partial.rename(cluster)


def clear_leftovers(cluster: Path) -> None:
    """Stop a server that its parent's death left running, and drop a pid file that would block the next one.

    The caller holds the lock of the data folder, so nobody is using that server.

    Raises:
        EmbeddedError: when it does not stop.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if pid == 0 or not psutil.pid_exists(pid):
        return  # PostgreSQL itself recognises a dead pid
    process = psutil.Process(pid)
    if not _serves(process, cluster):
        # The number was given to another program, as happens after a reboot or in containers. PostgreSQL
        # would only see that it is alive, and refuse to start.
        pid_file.unlink(missing_ok=True)
        return
    process.send_signal(signal.SIGINT)  # "fast": ends connections, writes a checkpoint
    try:
        process.wait(LEFTOVER_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise EmbeddedError(
            f"A PostgreSQL server left over from before (process {pid}) does not stop. It still serves "
            f"{cluster}. Stop it with `kill -INT {pid}` and start again."
        ) from None


def _serves(process: psutil.Process, cluster: Path) -> bool:
    try:
        return "postgres" in process.name() and Path(process.cwd()) == cluster.resolve()
    except psutil.Error:
        return False


def _locale_options(major: int) -> list[str]:
    """Return initdb's options for sorting by code point with Unicode letters, the same on every machine."""
    if _c_utf8_is_known():
        return ["--locale=C.UTF-8"]
    if major >= 17:  # brings its own: https://www.postgresql.org/docs/17/locale.html#LOCALE-PROVIDERS
        return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--no-locale"]


def _c_utf8_is_known() -> bool:
    # newlocale asks without changing the locale of this process, as Python's locale module would.
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.freelocale.argtypes = [ctypes.c_void_p]
    handle = library.newlocale(LC_CTYPE_MASK, b"C.UTF-8", None)
    if handle:
        library.freelocale(handle)
    return bool(handle)
