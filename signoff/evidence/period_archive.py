"""Create a period pack: the evidence of all deployments of a target between two dates in one archive."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from django.db import transaction
from django.utils import timezone

from checklists.models import Deployment
from deployctl import audit
from deployctl.audit import Actor, signing_keys
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, Refusal
from deployctl.runs.models import Target
from signoff.evidence import document, filled_checklist
from signoff.models import EvidencePack
from signoff.verifier import pack_format
from signoff.verifier.period import LIST, write


def archive(target: Target, since: dt.date, until: dt.date, by: Actor) -> BinaryIO:
    """Return an archive with pack, PDF and checklist of each deployment whose window starts in a period.

    Args:
        since, until: the first and the last day, in the current time zone.
        by: the person or machine that exports it.

    Returns:
        A temporary file, open at its start; closing it deletes it.

    Raises:
        InvalidInput: `until` is before `since`.
        Refusal: no window started in the period.
        SigningKeyMissing, ChainBroken: see `EvidencePack.export`.
    """
    if until < since:
        raise InvalidInput(
            "The end of the period is before its start, and nothing was exported. Correct the dates."
        )
    found = Deployment.objects.filter(target=target).in_period(since, until).order_by("window_start", "pk")
    deployments = list(found.select_related("target"))
    if not deployments:
        raise Refusal(
            f"No deployment of {target} has a window that starts between {since} and {until}. Nothing was "
            "exported; choose another period."
        )
    key = signing_keys.signing_key()
    packs = [EvidencePack.latest_or_export(deployment, by) for deployment in deployments]
    archive_file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    with tempfile.TemporaryDirectory(prefix="deployctl-evidence-") as folder, ExitStack() as stack:
        files = [path for pack in packs for path in _write_files(pack, Path(folder))]
        names = [path.relative_to(folder).as_posix() for path in files]
        file_list = _file_list(
            target,
            since,
            until,
            by,
            [{"name": name, "sha256": _digest(path)} for name, path in zip(names, files, strict=True)],
        )
        contents = io.BytesIO()
        pack_format.write(file_list, key, contents, schema=pack_format.PERIOD_SCHEMA)
        contents.seek(0)
        streams = [stack.enter_context(path.open("rb")) for path in files]
        write(archive_file, [(LIST, contents), *zip(names, streams, strict=True)])
    with transaction.atomic():
        facts = {"since": since, "until": until, "deployments": [pack.deployment_id for pack in packs]}
        audit.append(Action.EVIDENCE_EXPORTED, by=by, subject=target, data=facts)
    archive_file.seek(0)
    return archive_file


def file_name(target: Target, since: dt.date, until: dt.date) -> str:
    """Return the file name of the archive."""
    return f"{target.name}-{since}-to-{until}.zip"


def _write_files(pack: EvidencePack, folder: Path) -> list[Path]:
    """Write the files of one deployment and return their paths."""
    subfolder = folder / f"deployment-{pack.deployment_id}"
    subfolder.mkdir()
    content = pack.content()
    parsed = json.loads(content)
    paths = [subfolder / "evidence.json", subfolder / "evidence.pdf", subfolder / "checklist.md"]
    paths[0].write_bytes(content)
    paths[1].write_bytes(document.render(parsed, pack.digest))
    paths[2].write_text(filled_checklist.render(parsed, pack.digest), encoding="utf-8")
    return paths


def _file_list(
    target: Target, since: dt.date, until: dt.date, by: Actor, files: list[dict[str, str]]
) -> dict[str, Any]:
    about = {
        "target": target.name,
        "environment": target.environment,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "exported_at": timezone.now().isoformat(timespec="seconds"),
        "exported_by": audit.actor_name(by),
        "deployments": len(files) // 3,
    }
    return {"about": about, "files": files}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
