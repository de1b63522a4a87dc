"""Views that stream the log of a run as server-sent events and as a text file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from deployctl.accounts.policies import member
from deployctl.runs.models import LogLine, Run
from deployctl.runs.models.run_states import UNFINISHED
from deployctl.text import pluralize
from deployctl.web.http import row_number
from deployctl.web.live import PING_S, event, event_stream
from deployctl.web.live_hub import Hub

LINES_AT_ONCE = 500
# Wait this long to fetch a burst of lines as one batch; twice the writer's interval of 100 ms.
GATHER_S = 0.2
# Poll the database, in case the broker loses a notification.
POLL_EVERY_S = 5.0

# Reading a batch takes milliseconds, so a few threads serve all readers of this process. No thread keeps a
# database session between two batches.
_readers = ThreadPoolExecutor(4, thread_name_prefix="log")


class Batch(NamedTuple):
    """A batch of lines with the state of the run."""

    lines: list[LogLine]
    state: str
    is_finished: bool


@member
@require_GET
async def run_stream(request: HttpRequest, number: int) -> StreamingHttpResponse:
    """Stream the lines after `Last-Event-ID` (or `?after=`), then new lines, and finally the state.

    A reader who is thousands of lines behind skips some; see `LogQuerySet.tail`.
    """
    if not await sync_to_async(_may_read)(request, number):
        raise Http404
    after = request.headers.get("Last-Event-ID") or request.GET.get("after") or ""
    return event_stream(request, _events(number, row_number(after)))


@member
@require_GET
async def run_log_text(request: HttpRequest, number: int) -> StreamingHttpResponse:
    """Download the log as a text file."""
    if not await sync_to_async(_may_read)(request, number):
        raise Http404
    response = StreamingHttpResponse(_text(number), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{number}.log"'
    return response


def _may_read(request: HttpRequest, number: int) -> bool:
    return Run.objects.visible_to(request.user).filter(pk=number).exists()


async def _events(number: int, after: int) -> AsyncIterator[str]:
    with Hub.of_this_loop().subscribe([f"log:{number}", f"run:{number}"], since=time.time()) as changes:
        quiet_since = time.monotonic()
        while True:
            batch = await _read(number, after, watching=True)
            if batch.lines:
                after = batch.lines[-1].number
                quiet_since = time.monotonic()
                yield event("lines", [_line(line) for line in batch.lines], identifier=str(after))
            if len(batch.lines) == LINES_AT_ONCE:
                continue
            if batch.is_finished:
                yield event("end", {"state": batch.state})
                return
            await changes.take(wait_s=POLL_EVERY_S, gather_s=GATHER_S)
            if time.monotonic() - quiet_since > PING_S:
                quiet_since = time.monotonic()
                yield ": ping\n\n"


async def _text(number: int) -> AsyncIterator[str]:
    after = 0
    while lines := (await _read(number, after)).lines:
        if lines[0].number > after + 1:
            dropped = pluralize(lines[0].number - after - 1, "line")
            yield f"[{dropped} dropped: the log exceeded its size limit]\n"
        yield "".join(f"{line.at:%Y-%m-%d %H:%M:%S.%f}Z {line.level:7} {line.text}\n" for line in lines)
        after = lines[-1].number


async def _read(number: int, after: int, *, watching: bool = False) -> Batch:
    read = partial(_read_now, number, after, watching=watching)
    return await asyncio.get_running_loop().run_in_executor(_readers, read)


def _read_now(number: int, after: int, *, watching: bool) -> Batch:
    try:
        # Read the state first: the log of a finished run is complete.
        state = Run.objects.values_list("state", flat=True).get(pk=number)
        log = LogLine.objects.filter(run_id=number)
        lines = (log.tail if watching else log.after)(after, at_most=LINES_AT_ONCE)
        return Batch(list(lines), state, state not in UNFINISHED)
    finally:
        connection.close()


def _line(line: LogLine) -> dict[str, Any]:
    return {"number": line.number, "at": line.at.isoformat(), "level": line.level, "text": line.text}
