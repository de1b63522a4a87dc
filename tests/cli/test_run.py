"""`deployctl run`, `deployctl target` and `deployctl backup`."""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db import connections

from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from deployctl.cli.backup import backup
from deployctl.cli.run import run
from deployctl.cli.target import target as target_command
from deployctl.operations import catalogue
from deployctl.runs.execution import supervisor
from deployctl.runs.models import Backup, Run, Target
from tests.people import person
from tests.runs.conftest import add_target, kinds, real_target, target  # noqa: F401 (fixtures)

SYSTEM = Machine("test")
TIMEOUT_S = 60
# The package has a command of the same name as the module.
run_command = importlib.import_module("deployctl.cli.run")


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


def invoke(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, prog_name="deployctl")


@pytest.fixture
def in_background(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Run], None]], None]]:
    """Return a function that calls `act(run)` in another thread once the run's state is shown."""
    shown: SimpleQueue[int] = SimpleQueue()
    threads: list[threading.Thread] = []

    def state_message_and_signal(run: Run) -> str:
        message: str = state_message(run)
        shown.put(run.pk)
        return message

    state_message = run_command._state_message
    monkeypatch.setattr(run_command, "_state_message", state_message_and_signal)

    def start(act: Callable[[Run], None]) -> None:
        def work() -> None:
            try:
                act(Run.objects.get(pk=shown.get(timeout=TIMEOUT_S)))
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def execute(queued: Run) -> None:
    """Execute a run as a worker does."""
    with contextlib.suppress(SystemExit):
        supervisor.execute(queued.pk)


def test_every_operation_has_a_command_with_its_parameters() -> None:
    shown = invoke(run, "--help")
    assert shown.exit_code == 0
    for kind, operation in catalogue().items():
        assert kind in shown.output
        command_help = invoke(run, kind, "--help").output
        assert "Exit status:" in command_help
        for field in operation.Params.__dataclass_fields__:
            assert f"--{field.replace('_', '-')}" in command_help


def test_without_wait_the_run_is_queued(target: Target) -> None:  # noqa: F811
    result = invoke(run, "sleep", "--target", "shop", "--seconds", "5", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"] == "queued"
    assert Run.objects.get().params == {"seconds": 5}
    assert Run.objects.get().requested_by_name.startswith("command line: ")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("sleep",), 2),
        (("sleep", "--target", "shop", "--seconds", "-1"), 2),
        (("sleep", "--target", "shop", "--where", "nowhere"), 2),
        (("sleep", "--target", "nowhere"), 2),
        (("nothing", "--target", "shop"), 2),
    ],
)
def test_invalid_arguments_have_status_2(target: Target, arguments: tuple[str, ...], status: int) -> None:  # noqa: F811
    result = invoke(run, *arguments)

    assert result.exit_code == status
    assert "Traceback" not in result.output
    assert not Run.objects.exists()


def test_a_refusal_has_status_3(target: Target) -> None:  # noqa: F811
    invoke(run, "sleep", "--target", "shop")
    result = invoke(run, "change", "--target", "shop")

    assert result.exit_code == 3
    assert "started “Sleep” on shop" in result.stderr


def test_a_change_of_production_is_refused(
    db: Any,
    kinds: None,  # noqa: F811
    add_target: Callable[..., Target],  # noqa: F811
) -> None:
    add_target("live", "production")

    assert invoke(run, "change", "--target", "live").exit_code == 3


def test_a_run_that_needs_consent_shows_where_to_give_it(
    db: Any,
    kinds: None,  # noqa: F811
    add_target: Callable[..., Target],  # noqa: F811
) -> None:
    add_target("live", "production")

    mistyped = invoke(run, "restore", "--target", "LIVE")
    result = invoke(run, "restore", "--backup", "live-1", "--target", "live", "--json")

    assert mistyped.exit_code == 2
    assert "Type the target's name exactly: live" in mistyped.stderr
    assert result.exit_code == 5
    assert json.loads(result.stdout)["state"] == "waiting"
    waiting = Run.objects.get()
    assert f"Run {waiting.pk} needs consent because live is a production target. 2 operators" in result.stderr
    assert f"/runs/{waiting.pk}/" in result.stderr


def test_wait_continues_until_consent_is_given_or_refused(
    committed_db: Any,
    kinds: None,  # noqa: F811
    add_target: Callable[..., Target],  # noqa: F811
    in_background: Callable[..., None],
) -> None:
    add_target("live", "production")
    operators = [person(name, Permission.OPERATOR) for name in ("Ann One", "Bo Two")]

    def object_to_run(run: Run) -> None:
        assert run.consent(by=operators[0], typed_name="live") is False
        run.object(by=operators[1], reason="Not tonight.")

    in_background(object_to_run)
    result = invoke(run, "drop_kept_database", "--database", "live_before_1", "--target", "live", "--wait")

    assert result.exit_code == 4
    assert "needs consent" in result.output
    assert "Bo Two objected: Not tonight." in result.output


@pytest.mark.parametrize(
    ("kind", "option", "status", "state"),
    [
        ("look", (), 0, "succeeded"),
        ("break", ("--how", "failed"), 1, "failed"),
        ("break", ("--how", "exit"), 4, "interrupted"),
    ],
)
def test_wait_shows_the_log_and_exits_with_the_outcome(
    real_target: Target,  # noqa: F811
    in_background: Callable[..., None],
    kind: str,
    option: tuple[str, ...],
    status: int,
    state: str,
) -> None:
    in_background(execute)
    result = invoke(run, kind, "--target", "shop", *option, "--wait", "--json")

    assert result.exit_code == status
    assert json.loads(result.stdout)["state"] == state
    assert "Run 1 is queued and waits for a free worker." in result.stderr
    if kind == "look":
        assert "looked" in result.stderr


def test_targets_are_added_listed_shown_and_checked(
    db: Any, make_database: Callable[..., str], secret_file: Callable[[str], str]
) -> None:
    url = make_database()
    reference = secret_file(url)
    pasted = invoke(target_command, "add", "shop", "--environment", "staging", "--connection", url)
    added = invoke(target_command, "add", "shop", "--environment", "staging", "--connection", reference)
    assert (pasted.exit_code, added.exit_code) == (1, 0)
    assert url not in str(pasted.exception)

    assert [one["name"] for one in json.loads(invoke(target_command, "list", "--json").stdout)] == ["shop"]
    checked = json.loads(invoke(target_command, "check", "shop", "--json").stdout)
    assert checked["is_superuser"] is False
    assert invoke(target_command, "secret", "shop", "ADMIN_WORD", "env:ADMIN_WORD").exit_code == 0
    shown = json.loads(invoke(target_command, "show", "shop", "--json").stdout)
    assert shown["secrets"] == {"ADMIN_WORD": "env:ADMIN_WORD"}
    assert shown["database_oid"] is not None
    assert url.split(":")[2].partition("@")[0] not in str(shown)


def test_check_of_an_unreachable_target_has_status_1(db: Any, secret_file: Callable[[str], str]) -> None:
    reference = secret_file("postgresql://nobody:secret-word@127.0.0.1:1/nothing")
    Target.add(name="gone", environment="staging", connection_reference=reference, by=SYSTEM)
    result = invoke(target_command, "check", "gone")

    assert result.exit_code == 1
    assert "127.0.0.1" in str(result.exception)
    assert "secret-word" not in str(result.exception)


def test_backups_are_made_and_listed(
    real_target: Target,  # noqa: F811
    in_background: Callable[..., None],
) -> None:
    assert "There are no backups yet" in invoke(backup, "list").output
    in_background(execute)
    result = invoke(run, "backup", "--target", "shop", "--wait")

    assert result.exit_code == 0, result.output
    (listed,) = json.loads(invoke(backup, "list", "--json", "--target", "shop").stdout)
    assert listed["trust"] == "hashed"
    assert listed["name"] == Backup.objects.get().name
    assert listed["name"] in invoke(backup, "list").output
