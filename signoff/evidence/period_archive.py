"""A period pack: the evidence of all deployments of a target between two dates, in one archive."""

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
    """Pack, document and checklist of every deployment whose window opened in a period.

    Args:
        since, until: days in the present time zone, both included.
        by: who exports them.

    Returns:
        The archive, open at its beginning; it is gone when it is closed.

    Raises:
        InvalidInput: the period ends before it begins.
        Refusal: there is no deployment in it.
        SigningKeyMissing, ChainBroken: as `EvidencePack.export`.
    """
    if until < since:
        raise InvalidInput("The period ends before it begins. Nothing was exported.")
    found = Deployment.objects.filter(target=target).in_period(since, until).order_by("window_start", "pk")
    deployments = list(found.select_related("target"))
    if not deployments:
        raise Refusal(
            f"No deployment of {target} had a window that opened between {since} and {until}. Nothing was "
            "exported."
        )
    key = signing_keys.signing_key()
    packs = [EvidencePack.latest_or_export(deployment, by) for deployment in deployments]
    made = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    with tempfile.TemporaryDirectory(prefix="deployctl-evidence-") as folder, ExitStack() as opened:
        files = [path for pack in packs for path in _write_files(pack, Path(folder))]
        names = [path.relative_to(folder).as_posix() for path in files]
        listed = _list(
            target,
            since,
            until,
            by,
            [{"name": name, "sha256": _digest(path)} for name, path in zip(names, files, strict=True)],
        )
        contents = io.BytesIO()
        pack_format.write(listed, key, contents, schema=pack_format.PERIOD_SCHEMA)
        contents.seek(0)
        streams = [opened.enter_context(path.open("rb")) for path in files]
        write(made, [(LIST, contents), *zip(names, streams, strict=True)])
    with transaction.atomic():
        facts = {"since": since, "until": until, "deployments": [pack.deployment_id for pack in packs]}
        audit.append(Action.EVIDENCE_EXPORTED, by=by, subject=target, data=facts)
    made.seek(0)
    return made


def file_name(target: Target, since: dt.date, until: dt.date) -> str:
    """What the archive is called."""
    return f"{target.name}-{since}-to-{until}.zip"


def _write_files(pack: EvidencePack, folder: Path) -> list[Path]:
    """One deployment's files, written one after the other: only one of them is in memory."""
    own = folder / f"deployment-{pack.deployment_id}"
    own.mkdir()
    content = pack.content()
    said = json.loads(content)
    paths = [own / "evidence.json", own / "evidence.pdf", own / "checklist.md"]
    paths[0].write_bytes(content)
    paths[1].write_bytes(document.render(said, pack.digest))
    paths[2].write_text(filled_checklist.render(said, pack.digest), encoding="utf-8")
    return paths


def _list(
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
