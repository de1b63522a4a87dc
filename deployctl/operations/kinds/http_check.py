"""Request the application's health address and endpoints, and check the HTTP status of each response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from deployctl.operations.application.http_probe import ForbiddenURL, NoResponse, Response, send_request
from deployctl.operations.application.project import FILE_NAME, Application, Project
from deployctl.operations.application.project_helpers import require_project
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome, param
from deployctl.text import pluralize

HEALTHY = range(200, 300)


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    expected: Sequence[int]

    @property
    def text(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def expectation(self) -> str:
        return "2xx" if self.expected is HEALTHY else " or ".join(map(str, self.expected))


class HttpCheck(Operation):
    """Request every endpoint before failing, so that one run reports all failures."""

    kind: ClassVar[str] = "http_check"
    title: ClassVar[str] = "Check endpoints"
    help: ClassVar[str] = (
        "Requests the application's health address and every endpoint in deployctl.toml, and checks the "
        "status of each response. POST, PUT and PATCH send an empty JSON object; redirects aren't followed."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 1800

    @dataclass(frozen=True)
    class Params:
        timeout_s: int = param(
            10, label="Timeout in seconds", help="Time limit for each response.", minimum=1, maximum=60
        )

    def perform(self, job: Job) -> Outcome:
        requests = list(_requests(require_project(job)))
        responses: list[Json] = []
        failures: list[str] = []
        for done, request in enumerate(requests):
            job.advance(done, len(requests), unit="endpoints")
            try:
                with job.step(request.text):
                    responses.append(_check(job, request, timeout_s=job.params.timeout_s))
            except OperationFailed as failure:
                job.log(failure.message, level="error")
                failures.append(failure.message)
        job.advance(len(requests), len(requests), unit="endpoints")
        if failures:
            raise OperationFailed(
                f"{len(failures)} of {pluralize(len(requests), 'endpoint')} did not respond as expected. "
                + " ".join(failures)
            )
        count = pluralize(len(requests), "endpoint responds", "endpoints respond")
        return Outcome(summary=f"{count} as expected.", facts={"answers": responses})


def check_health(job: Job, health: str, *, timeout_s: int) -> Json:
    """Request only the health address.

    Args:
        health: its URL.
        timeout_s: for the response, in seconds.

    Raises:
        OperationFailed: no response, or a status other than 2xx.
    """
    return _check(job, _Request("GET", health, HEALTHY), timeout_s=timeout_s)


def _requests(project: Project) -> Iterator[_Request]:
    application: Application = project.application
    if application.health is None:
        raise OperationFailed(
            f"{project.folder / FILE_NAME} has no address of the application. Nothing was checked. "
            'Add it under [application], for example health = "http://localhost:3000/health".'
        )
    health = str(application.health)
    yield _Request("GET", health, HEALTHY)
    parts = urlsplit(health)
    for endpoint in application.endpoints:
        yield _Request(endpoint.method, f"{parts.scheme}://{parts.netloc}{endpoint.path}", endpoint.expect)


def _check(job: Job, request: _Request, *, timeout_s: int) -> Json:
    try:
        response = send_request(
            request.method, request.url, timeout_s=timeout_s, check=job.raise_if_cancelled
        )
    except (NoResponse, ForbiddenURL) as error:
        raise OperationFailed(f"{request.text}: {error.message}") from error
    duration_ms = round(response.duration_s * 1000)
    job.log(f"{request.text}: {response.status} in {duration_ms} ms")
    if response.status not in request.expected:
        raise OperationFailed(_unexpected(request, response))
    return {
        "method": request.method,
        "url": request.url,
        "status": response.status,
        "expected": request.expectation,
        "duration_ms": duration_ms,
    }


def _unexpected(request: _Request, response: Response) -> str:
    redirect = f", a redirect to {response.location} that was not followed" if response.location else ""
    return f"{request.text}: status {response.status}{redirect}; expected {request.expectation}."
