"""`deployctl up`: PostgreSQL, Redis, web, worker and beat from one command, in one data folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from deployctl.cli._services import Services, UpOptions

MOST_WORKERS = 64
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked us to stop. No ``except Exception`` on the way is meant to keep it."""


@click.command()
@click.option(
    "--port",
    envvar="PORT",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port of the web pages, on 127.0.0.1.",
)
@click.option(
    "--data",
    envvar=["DATA", "DEPLOYCTL_DATA"],
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".deployctl"),
    show_default=True,
    help="Folder that keeps everything.",
)
@click.option("--demo", is_flag=True, help="Add a sample database, application, people and deployment.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=4,
    show_default=True,
    help="How many runs are executed at the same time.",
)
@click.option(
    "--administrator",
    metavar="EMAIL",
    default="admin@localhost",
    show_default=True,
    help="Address of the first administrator, made at the first start without --demo.",
)
def up(*, port: int, data: Path, demo: bool, workers: int, administrator: str) -> None:
    """Start everything on this machine and keep it running.

    PostgreSQL, Redis, the web pages, the workers and their clock run on 127.0.0.1 and keep their data in one
    folder. Ctrl-C stops them all.
    """
    running = Services(data, UpOptions(port, demo, workers, administrator), say=_say)
    with _stopping_on_signals():
        try:
            running.start()
            running.keep()
        except Stopped:
            _say("Stopping …")
        finally:
            _ignore_signals()  # a second Ctrl-C would only break the orderly end
            running.stop()
    _say("Stopped.")


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stopped

    # A hangup that is ignored already is nohup's doing: it asks us to outlive the terminal.
    heard = [n for n in STOP_SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    # A terminal that is gone is no reason to leave the programs in disorder.
    with suppress(OSError):
        click.echo(text)
