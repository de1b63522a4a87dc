"""Download and upload backups through the pages of a real server."""

from __future__ import annotations

import http.client
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from click.testing import CliRunner
from django.conf import settings
from django.db import connection
from django.test import Client

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission, Role
from deployctl.audit import Machine
from deployctl.audit.models import Entry
from deployctl.cli.backup import backup as backup_command
from deployctl.errors import NotAllowed, Refusal
from deployctl.postgres.connection import connect
from deployctl.runs import uploads
from deployctl.runs.execution import supervisor
from deployctl.runs.models import Backup, Retention, Run, RunState, Target
from tests.conftest import Committed
from tests.operations.test_import_backup import pg_dump
from tests.people import person
from tests.waiting import until
from tests.web.server import running

SYSTEM = Machine("test")
Executed = Callable[..., Run]
STRANGE_NAME = '--file="$(touch x)"\n\' <b>.dump'


@pytest.fixture
def server(committed_db: Committed) -> Iterator[int]:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    with running(committed_db.environment | {"DEBUG": "1", "DEPLOYCTL_UPLOAD_MB": "1"}) as port:
        yield port


class Browser:
    """A browser without JavaScript."""

    def __init__(self, port: int, client: Client) -> None:
        self.at = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.session.cookies.set(settings.SESSION_COOKIE_NAME, cookie)

    def token(self, address: str) -> str:
        page = self.session.get(self.at + address, timeout=30).text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found, page
        return found[1]

    def post(self, address: str, fields: dict[str, str], **options: Any) -> requests.Response:
        return self.session.post(self.at + address, data=fields, allow_redirects=False, timeout=60, **options)

    def upload(self, content: bytes, name: str = "shop.dump", **fields: str) -> requests.Response:
        token = self.token("/targets/shop/backups/new")
        given = {"csrfmiddlewaretoken": token, "origin": "on"} | fields
        return self.post("/targets/shop/backups/uploads", given, files={"file": (name, content)})


@pytest.fixture
def shop(real_target: Target) -> Target:
    with connect(real_target.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT n FROM generate_series(1, 300) AS n")
    return real_target


@pytest.fixture
def target_dba(shop: Target) -> User:
    """Return an operator who is the target's Database Administrator."""
    user = person("Dana Baker", Permission.OPERATOR)
    shop.assign(user, Role.DBA, by=SYSTEM)
    return user


@pytest.fixture
def browser(server: int, target_dba: User, signed_in: Callable[..., Client]) -> Browser:
    return Browser(server, signed_in(target_dba))


def upload_files(target: Target) -> list[str]:
    folder = target.backup_folder().root
    return sorted(path.name for path in folder.glob(".uploads/*"))


def test_a_dump_is_uploaded_imported_listed_and_downloaded(
    shop: Target, browser: Browser, target_dba: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = browser.upload(pg_dump(shop.spec(), tmp_path / "x", "custom").read_bytes(), name=STRANGE_NAME)

    assert answer.status_code == 303, answer.text
    run = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{run.pk}/"
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    supervisor.execute(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.summary
    backup = Backup.objects.for_display().get()
    assert backup.trust == "hashed"
    assert backup.origin.startswith("uploaded by Dana Baker from ")
    assert "\n" not in backup.origin
    assert upload_files(shop) == []
    page = browser.session.get(browser.at + "/targets/shop/backups/", timeout=30).text
    assert "uploaded by Dana Baker from" in page
    assert "not counted" in page
    assert "<b>.dump" not in page

    token = browser.token("/targets/shop/backups/new")
    taken = browser.post(f"/backups/{backup.name}/downloads", {"csrfmiddlewaretoken": token})

    assert taken.status_code == 200
    assert taken.headers["Content-Disposition"] == f'attachment; filename="{backup.name}.tar"'
    assert "Content-Encoding" not in taken.headers
    assert len(taken.content) == int(taken.headers["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(taken.content)) as tar:
        assert tar.getnames() == [
            f"{backup.name}/{name}" for name in ("archive.dump", "manifest.json", "manifest.sha256")
        ]
    entry = Entry.objects.get(action="backup.downloaded")
    assert (entry.actor, entry.subject) == (target_dba, backup.name)

    again = browser.upload(taken.content, name="again.tar")
    assert again.status_code == 303, again.text


def test_an_invalid_upload_shows_an_error_and_leaves_no_file(shop: Target, browser: Browser) -> None:
    for content, fields, words in (
        (os.urandom(2 << 20), {}, "larger than the upload limit of 1 MB"),
        (b"PGDMP", {"origin": ""}, "Confirm that you know where the dump comes from."),
    ):
        answer = browser.upload(content, **fields)
        assert answer.status_code == 422
        assert words in answer.text
    without = browser.upload(b"", name="")
    assert without.status_code == 422
    assert "No file was selected" in without.text
    assert "larger than 16 MB" not in without.text
    token = browser.token("/targets/shop/backups/new")
    forged = browser.post("/targets/shop/backups/uploads", {"origin": "on"}, files={"file": ("x", b"PGDMP")})
    assert forged.status_code == 403
    unlike = browser.post("/targets/shop/backups/uploads", {"csrfmiddlewaretoken": token, "origin": "on"})
    assert (unlike.status_code, "No file was selected" in unlike.text) == (422, True)
    assert upload_files(shop) == []
    assert not Run.objects.exists()


def test_an_interrupted_upload_leaves_no_file_and_blocks_nobody(
    shop: Target, browser: Browser, committed_db: Committed
) -> None:
    token = browser.token("/targets/shop/backups/new")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.session.cookies)
    head = "".join(
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("csrfmiddlewaretoken", token), ("origin", "on"))
    )
    head += '--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    stalled = http.client.HTTPConnection(browser.at.removeprefix("http://"), timeout=30)
    stalled.putrequest("POST", "/targets/shop/backups/uploads")
    for name, value in (
        ("Cookie", cookies),
        ("Content-Type", "multipart/form-data; boundary=B"),
        ("Content-Length", str(len(head) + 500_000)),
    ):
        stalled.putheader(name, value)
    stalled.endheaders(head.encode() + b"PGDMP" + bytes(1000))
    until(lambda: len(upload_files(shop)) == 1)

    assert browser.session.get(browser.at + "/backups/", timeout=30).status_code == 200
    with psycopg.connect(committed_db.url, autocommit=True) as look:
        # A stalled upload holds no session of our own database.
        until(
            lambda: (
                look.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'deployctl' AND pid <> %s",
                    [connection.connection.info.backend_pid if connection.connection else 0],
                ).fetchone()
                == (0,)
            )
        )
    stalled.close()

    until(lambda: upload_files(shop) == [])
    assert not Run.objects.exists()
    assert browser.session.get(browser.at + "/backups/", timeout=30).status_code == 200


def test_a_cancelled_or_damaged_download_does_not_break_the_server(
    shop: Target, browser: Browser, executed: Executed
) -> None:
    assert executed(shop, "backup").state == RunState.SUCCEEDED
    backup = Backup.objects.get()
    token = browser.token("/targets/shop/backups/new")
    address, fields = f"/backups/{backup.name}/downloads", {"csrfmiddlewaretoken": token}
    with browser.post(address, fields, stream=True) as started:
        next(started.iter_content(512))
    assert browser.post(address, fields).status_code == 200

    rows = max(shop.backup_folder().path(backup.name).glob("*.dat.gz"), key=lambda path: path.stat().st_size)
    content = bytearray(rows.read_bytes())
    content[-1] ^= 1
    rows.write_bytes(content)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        browser.post(address, fields)
    rows.write_bytes(b"")
    answer = browser.post(address, fields)
    assert answer.status_code == 409
    assert f"{rows.name} of {backup.name} is missing, unexpected or of another size" in answer.text


@pytest.mark.parametrize("method", ["downloads", "new", "uploads"])
def test_transferring_backups_needs_the_dba_role_and_a_fresh_code(
    target: Target,
    dba: User,
    viewer: User,
    administrator: User,
    signed_in: Callable[..., Client],
    method: str,
) -> None:
    make_backup(target)
    address = "/backups/shop-1/downloads" if method == "downloads" else f"/targets/shop/backups/{method}"

    def ask(client: Client) -> Any:
        return client.get(address) if method == "new" else client.post(address)

    assert ask(signed_in(viewer)).status_code == 403
    refused = ask(signed_in(dba))
    assert refused.status_code == 403
    assert "operators who are shop&#x27;s Database Administrator" in refused.text
    assert Entry.objects.filter(action="backup.downloaded").count() == 0
    stale = ask(signed_in(administrator, code=False))
    assert stale.status_code == 302
    assert "/code" in stale["Location"] or "step" in stale["Location"]


def make_backup(target: Target, **fields: Any) -> Backup:
    run = Run.request(target=target, kind="sleep", params={}, by=SYSTEM)
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    made = {
        "name": "shop-1",
        "format": "directory",
        "size_bytes": 1,
        "files": 1,
        "server_version": "15.1",
        "tool_version": "15.1",
        "snapshot_at": run.requested_at or "2026-01-01T00:00:00Z",
        "manifest_sha256": "0" * 64,
    }
    return Backup.objects.create(target=target, run=run, **(made | fields))


def test_an_expired_backup_cannot_be_downloaded(target: Target, administrator: User) -> None:
    backup = make_backup(target, expired_at="2026-01-02T00:00:00Z")
    with pytest.raises(Refusal, match="has expired and its files were removed"):
        backup.download(by=administrator)


def test_an_import_has_no_button_and_cannot_be_restarted(
    target: Target, administrator: User, executed: Executed, signed_in: Callable[..., Client]
) -> None:
    run = Run.request(target=target, kind="import_backup", params={"upload": "0" * 32}, by=SYSTEM)
    Run.objects.filter(pk=run.pk).update(state=RunState.FAILED)
    browser = signed_in(administrator)
    assert "Start again" not in browser.get(f"/runs/{run.pk}/").text
    assert "<h3>Import backup</h3>" not in browser.get("/targets/shop/").text


def test_importing_an_upload_needs_permission(target: Target, dba: User) -> None:
    with pytest.raises(NotAllowed):
        uploads.request_import(target, "0" * 32, file_name="x", by=dba)
    target.assign(dba, Role.DBA, by=SYSTEM)
    run = uploads.request_import(target, "0" * 32, file_name="C:\\x\\..\\a\tb.dump", by=dba)
    assert run.params["file_name"] == "a�b.dump"


def test_an_upload_is_kept_by_its_upload_time_and_displaces_no_backup(target: Target) -> None:
    old = "2020-01-01T00:00:00Z"
    make_backup(target, name="ours", snapshot_at=old)
    make_backup(target, name="uploaded", snapshot_at="2021-01-01T00:00:00Z", uploaded_from="x.dump")
    for backup in Backup.objects.all():
        backup.trust_levels.create(level="hashed", run=backup.run)

    decisions = {decision.backup.name: decision for decision in Retention.preview(target)}

    assert decisions["uploaded"].why == "uploaded less than 30 days ago"
    assert decisions["ours"].why.startswith("newest backup; newest hashed backup")


def test_an_abandoned_upload_is_removed_after_a_day(target: Target) -> None:
    with uploads.of(target).receive() as incoming:
        incoming.write(b"x")
        number = incoming.finish()
        incoming.keep()
    assert uploads.remove_abandoned() == 0
    folder = uploads.of(target).file(number).parent
    for path in (folder, *folder.iterdir()):
        os.utime(path, (0, 0))
    assert uploads.remove_abandoned() == 1
    assert upload_files(target) == []


def test_an_unreadable_folder_does_not_stop_the_cleanup_of_others(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    reference = "env:DATABASE_URL"
    other = Target.add(name="another", environment="staging", connection_reference=reference, by=SYSTEM)
    with uploads.of(other).receive() as incoming:
        number = incoming.finish()
        incoming.keep()
    folder = uploads.of(other).file(number).parent
    for path in (folder, *folder.iterdir()):
        os.utime(path, (0, 0))
    root = target.backup_folder().root
    root.mkdir(parents=True, exist_ok=True)
    (root / ".uploads").symlink_to("x" * 300)  # also fails for root, who ignores permissions

    assert uploads.remove_abandoned() == 1
    assert upload_files(other) == []
    assert f"Abandoned uploads to {target} could not be removed" in caplog.text


def test_the_command_line_downloads_and_uploads_a_backup(
    shop: Target, executed: Executed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    assert executed(shop, "backup").state == RunState.SUCCEEDED
    backup = Backup.objects.get()

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(backup_command, arguments)

    assert invoke("download", backup.name, "--to", str(tmp_path)).exit_code == 0
    file = tmp_path / f"{backup.name}.tar"
    assert file.stat().st_mode & 0o777 == 0o600
    assert Entry.objects.get(action="backup.downloaded").actor_name.startswith("command line: ")
    again = invoke("download", backup.name, "--to", str(tmp_path))
    assert "already exists" in str(again.exception)
    assert "There is no backup nope" in str(invoke("download", "nope", "--to", str(tmp_path)).exception)

    assert invoke("upload", str(file), "--target", "shop").exit_code == 0
    run = Run.objects.filter(kind="import_backup").get()
    supervisor.execute(run.pk)
    uploaded = Backup.objects.exclude(uploaded_from="").get()
    assert uploaded.manifest_sha256 == backup.manifest_sha256
    assert uploaded.uploaded_from == file.name
    tested = executed(shop, "test_restore", backup=uploaded.name)
    assert tested.state == RunState.SUCCEEDED, tested.summary
    assert Backup.objects.get(pk=uploaded.pk).trust == "proven"
