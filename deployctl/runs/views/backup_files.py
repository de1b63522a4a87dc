"""Backups that leave and that come in as one file. Nothing of them is held in memory, and no thread waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts.models import User
from deployctl.accounts.policies import operator, step_up
from deployctl.accounts.requests import person
from deployctl.errors import DeployctlError, NotAllowed
from deployctl.operations.archive import Archive
from deployctl.operations.manifest import Damaged
from deployctl.runs import uploads
from deployctl.runs.forms_backups import UploadForm
from deployctl.runs.models import Backup, Run, Target
from deployctl.runs.permissions import require_mover
from deployctl.runs.views.targets import find
from deployctl.storage.uploads import Incoming
from deployctl.web.file_forms import IncomingFile, incoming_file
from deployctl.web.http import see_other
from deployctl.web.live import while_allowed

logger = logging.getLogger(__name__)

WRITE_BYTES = 1 << 20
# Each takes one piece at a time: a slow sender or reader waits on the network, not in one of these.
_files = ThreadPoolExecutor(4, thread_name_prefix="backup-files")


@operator
@step_up
@require_POST
async def backup_downloads(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """Take a backup away, as one tar."""
    archive = await sync_to_async(_hand_out)(request, name)
    size = await asyncio.get_running_loop().run_in_executor(_files, lambda: archive.size)
    pieces = while_allowed(request, _pieces(archive))
    response = StreamingHttpResponse(pieces, content_type="application/x-tar")
    response["Content-Length"] = str(size)
    disposition = content_disposition_header(as_attachment=True, filename=archive.file_name)
    response["Content-Disposition"] = disposition or "attachment"
    response["X-Accel-Buffering"] = "no"  # nginx would otherwise write it to its own disk first
    return response


@operator
@step_up
@require_safe
def backup_new(request: HttpRequest, name: str) -> HttpResponse:
    """The form that sends a backup in."""
    return _page(request, _target(request, name), UploadForm())


@operator
@step_up
@require_POST
async def backup_uploads(request: HttpRequest, name: str) -> HttpResponseBase:
    """Receive a backup, then have a worker look at it."""
    target = await sync_to_async(_target)(request, name)
    form = UploadForm(request.POST)
    if form.is_valid():
        try:
            run = await _receive(request, target, incoming_file(request))
        except DeployctlError as error:
            form.add_error(None, error.sentence)
        else:
            return see_other(request, reverse("runs:run", args=[run.pk]))
    return await sync_to_async(_page)(request, target, form, status=422)


async def _receive(request: HttpRequest, target: Target, file: IncomingFile) -> Run:
    """Write the file as it comes; it is gone again unless a run was requested that takes it in."""
    run_in_thread = asyncio.get_running_loop().run_in_executor
    # It may take an hour, in which nobody needs the session of the database that the policies asked.
    await sync_to_async(connections.close_all)()
    with uploads.of(target).receive(announced=file.announced) as incoming:
        waiting = bytearray()
        async for chunk in file.chunks():
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                await run_in_thread(_files, incoming.write, bytes(waiting))
                waiting.clear()
        await run_in_thread(_files, incoming.write, bytes(waiting))
        await run_in_thread(_files, incoming.finish)
        return await sync_to_async(_take_in)(request, target, incoming, file.name)


def _take_in(request: HttpRequest, target: Target, incoming: Incoming, file_name: str) -> Run:
    goes_on: Callable[[], bool] = getattr(request, "goes_on", lambda: True)
    if not goes_on():
        raise NotAllowed(
            "Your session ended while the file came in. Nothing was kept. Sign in, send it again."
        )
    by = User.objects.get(pk=person(request).pk)  # permissions may have been taken away meanwhile
    run = uploads.take_in(target, incoming.upload_id, file_name=file_name, by=by)
    incoming.keep()
    return run


async def _pieces(archive: Archive) -> AsyncIterator[bytes]:
    pieces, loop = archive.pieces(), asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(_files, next, pieces, None)) is not None:
            yield piece
    except Damaged as error:
        # Fewer bytes than were announced: the reader's program sees that it broke off.
        logger.error("A download broke off: %s", error)
        raise


def _hand_out(request: HttpRequest, name: str) -> Archive:
    backups = Backup.objects.visible_to(request.user).select_related("target")
    return get_object_or_404(backups, name=name).hand_out(by=person(request))


def _target(request: HttpRequest, name: str) -> Target:
    target = find(request, name)
    require_mover(person(request), target)
    return target


def _page(request: HttpRequest, target: Target, form: UploadForm, *, status: int = 200) -> HttpResponse:
    room = uploads.of(target)
    context = {
        "target": target,
        "form": form,
        "at_most": room.max_bytes,
        "unpacked_at_most": room.max_unpacked_bytes,
    }
    return render(request, "runs/backup_new.html", context, status=status)
