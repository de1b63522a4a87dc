"""Views that download and upload backups as one file, streamed without blocking a thread."""

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

from deployctl.accounts.current_user import current_user
from deployctl.accounts.models import User
from deployctl.accounts.policies import operator, step_up
from deployctl.errors import DeployctlError, NotAllowed
from deployctl.operations.backup.archive import Archive
from deployctl.operations.backup.manifest import Damaged
from deployctl.runs import uploads
from deployctl.runs.forms.backups import UploadForm
from deployctl.runs.models import Backup, Run, Target
from deployctl.runs.permissions import require_backup_transfer
from deployctl.runs.views.targets import get_target
from deployctl.storage.uploads import Incoming
from deployctl.web.file_forms import UploadedStream, uploaded_stream
from deployctl.web.http import see_other
from deployctl.web.live import while_session_is_open

logger = logging.getLogger(__name__)

WRITE_BYTES = 1 << 20
# A thread handles one chunk at a time, so a slow client doesn't block it.
_file_threads = ThreadPoolExecutor(4, thread_name_prefix="backup-files")


@operator
@step_up
@require_POST
async def backup_downloads(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """Download a backup as a tar."""
    archive = await sync_to_async(_download)(request, name)
    size = await asyncio.get_running_loop().run_in_executor(_file_threads, lambda: archive.size)
    pieces = while_session_is_open(request, _pieces(archive))
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
    """Show the upload form."""
    return _page(request, _target(request, name), UploadForm())


@operator
@step_up
@require_POST
async def backup_uploads(request: HttpRequest, name: str) -> HttpResponseBase:
    """Receive an uploaded file, and request a run that imports it."""
    target = await sync_to_async(_target)(request, name)
    form = UploadForm(request.POST)
    if form.is_valid():
        try:
            run = await _receive(request, target, uploaded_stream(request))
        except DeployctlError as error:
            form.add_error(None, error.message)
        else:
            return see_other(request, reverse("runs:run", args=[run.pk]))
    return await sync_to_async(_page)(request, target, form, status=422)


async def _receive(request: HttpRequest, target: Target, file: UploadedStream) -> Run:
    """Write the file in chunks, and request its import; otherwise the file is removed."""
    run_in_thread = asyncio.get_running_loop().run_in_executor
    # The upload may take an hour, so release the database session that the policies used.
    await sync_to_async(connections.close_all)()
    with uploads.of(target).receive(announced=file.declared_bytes) as incoming:
        buffer = bytearray()
        async for chunk in file.chunks():
            buffer += chunk
            if len(buffer) >= WRITE_BYTES:
                await run_in_thread(_file_threads, incoming.write, bytes(buffer))
                buffer.clear()
        await run_in_thread(_file_threads, incoming.write, bytes(buffer))
        await run_in_thread(_file_threads, incoming.finish)
        return await sync_to_async(_request_import)(request, target, incoming, file.name)


def _request_import(request: HttpRequest, target: Target, incoming: Incoming, file_name: str) -> Run:
    session_is_open: Callable[[], bool] = getattr(request, "session_is_open", lambda: True)
    if not session_is_open():
        raise NotAllowed(
            "Your session ended during the upload. Nothing was kept. Sign in and upload the file again."
        )
    by = User.objects.get(pk=current_user(request).pk)  # permissions may have been revoked meanwhile
    run = uploads.request_import(target, incoming.upload_id, file_name=file_name, by=by)
    incoming.keep()
    return run


async def _pieces(archive: Archive) -> AsyncIterator[bytes]:
    pieces, loop = archive.chunks(), asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(_file_threads, next, pieces, None)) is not None:
            yield piece
    except Damaged as error:
        # Fewer bytes than announced: the client detects the incomplete download.
        logger.error("A download was interrupted: %s", error)
        raise


def _download(request: HttpRequest, name: str) -> Archive:
    backups = Backup.objects.visible_to(request.user).select_related("target")
    return get_object_or_404(backups, name=name).download(by=current_user(request))


def _target(request: HttpRequest, name: str) -> Target:
    target = get_target(request, name)
    require_backup_transfer(current_user(request), target)
    return target


def _page(request: HttpRequest, target: Target, form: UploadForm, *, status: int = 200) -> HttpResponse:
    limits = uploads.of(target)
    context = {
        "target": target,
        "form": form,
        "at_most": limits.max_bytes,
        "unpacked_at_most": limits.max_unpacked_bytes,
    }
    return render(request, "runs/backup_new.html", context, status=status)
