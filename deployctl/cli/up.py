"""`deployctl up`: run PostgreSQL, Redis, web server, workers and beat, with all data in one folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from deployctl.cli._services import Services, UpOptions

MAX_WORKERS = 64
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A stop signal was received. A BaseException, so that no ``except Exception`` catches it."""


@click.command()
@click.option(
    "--port",
    envvar="PORT",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="The port of the web server on 127.0.0.1.",
)
@click.option(
    "--data",
    envvar=["DATA", "DEPLOYCTL_DATA"],
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".deployctl"),
    show_default=True,
    help="The folder for all data.",
)
@click.option("--demo", is_flag=True, help="Add a sample database, application, users and deployment.")
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=4,
    show_default=True,
    help="The number of runs that are executed at the same time.",
)
@click.option(
    "--administrator",
    metavar="EMAIL",
    default="admin@localhost",
    show_default=True,
    help="The e-mail address of the first administrator, who is added at the first start without --demo.",
)
def up(*, port: int, data: Path, demo: bool, workers: int, administrator: str) -> None:
    """Start deployctl on this machine and keep it running.

    PostgreSQL, Redis, the web server, the workers and the scheduler run on 127.0.0.1, with all data in one
    folder. Press Ctrl-C to stop them.
    """
    services = Services(data, UpOptions(port, demo, workers, administrator), say=_say)
    with _stop_on_signals():
        try:
            services.start()
            services.supervise()
        except Stopped:
            _say("Stopping …")
        finally:
            _ignore_signals()  # a second Ctrl-C would interrupt the orderly shutdown
            services.stop()
    _say("Stopped.")


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stopped

    # If SIGHUP is already ignored, nohup did that, and the terminal may close.
    handled = [n for n in STOP_SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    # A closed terminal must not prevent the programs from being stopped.
    with suppress(OSError):
        click.echo(text)
