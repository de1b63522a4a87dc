"""Does the application answer?"""

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
class _Question:
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
    """Asks everything before it judges, so that one run names every endpoint that is wrong."""

    kind: ClassVar[str] = "http_check"
    title: ClassVar[str] = "Check endpoints"
    help: ClassVar[str] = (
        "Asks the application's health address and its endpoints as deployctl.toml names them, with method "
        "and expected status. POST, PUT and PATCH send an empty JSON object; redirects are not followed."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 1800

    @dataclass(frozen=True)
    class Params:
        """How patient it is."""

        timeout_s: int = param(
            10, label="Seconds to wait", help="For each answer, in seconds.", minimum=1, maximum=60
        )

    def perform(self, job: Job) -> Outcome:
        """Ask one after the other, then fail if any answer was not as expected."""
        questions = list(_questions(require_project(job)))
        answers: list[Json] = []
        findings: list[str] = []
        for done, question in enumerate(questions):
            job.advance(done, len(questions), unit="endpoints")
            try:
                with job.step(question.text):
                    answers.append(_asked(job, question, timeout_s=job.params.timeout_s))
            except OperationFailed as finding:
                job.log(finding.message, level="error")
                findings.append(finding.message)
        job.advance(len(questions), len(questions), unit="endpoints")
        if findings:
            raise OperationFailed(
                f"{len(findings)} of {pluralize(len(questions), 'endpoint')} did not answer as expected. "
                + " ".join(findings)
            )
        told = pluralize(len(questions), "endpoint answers", "endpoints answer")
        return Outcome(summary=f"{told} as expected.", facts={"answers": answers})


def ask_health(job: Job, health: str, *, timeout_s: int) -> Json:
    """Ask the health address alone.

    Args:
        health: the address.
        timeout_s: for the answer, in seconds.

    Raises:
        OperationFailed: no answer, or another one than 2xx.
    """
    return _asked(job, _Question("GET", health, HEALTHY), timeout_s=timeout_s)


def _questions(project: Project) -> Iterator[_Question]:
    application: Application = project.application
    if application.health is None:
        raise OperationFailed(
            f"{project.folder / FILE_NAME} names no address of the application, so nothing was asked. "
            'Add it under [application], such as health = "http://localhost:3000/health".'
        )
    health = str(application.health)
    yield _Question("GET", health, HEALTHY)
    parts = urlsplit(health)
    for endpoint in application.endpoints:
        yield _Question(endpoint.method, f"{parts.scheme}://{parts.netloc}{endpoint.path}", endpoint.expect)


def _asked(job: Job, question: _Question, *, timeout_s: int) -> Json:
    try:
        answer = send_request(
            question.method, question.url, timeout_s=timeout_s, check=job.raise_if_cancelled
        )
    except (NoResponse, ForbiddenURL) as error:
        raise OperationFailed(f"{question.text}: {error.message}") from error
    took = round(answer.duration_s * 1000)
    job.log(f"{question.text}: {answer.status} in {took} ms")
    if answer.status not in question.expected:
        raise OperationFailed(_unexpected(question, answer))
    return {
        "method": question.method,
        "url": question.url,
        "status": answer.status,
        "expected": question.expectation,
        "duration_ms": took,
    }


def _unexpected(question: _Question, answer: Response) -> str:
    where = f", a redirect to {answer.location} that was not followed" if answer.location else ""
    return f"{question.text}: answered {answer.status}{where}; expected {question.expectation}."
