"""Targets behind a connection pooler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deployctl.runs import connection_check
from deployctl.runs.models import Run, RunState, Target
from tests.postgres.proxies import as_pooler, proxy_to


def test_a_run_through_a_pooler_is_refused_and_the_check_warns(
    real_target: Target, executed: Callable[..., Run], secret_file: Callable[[str], str]
) -> None:
    spec = real_target.spec()
    with proxy_to(spec, as_pooler) as proxy:
        url = replace(spec, port=proxy.port).url
        Target.objects.filter(pk=real_target.pk).update(connection_reference=secret_file(url))
        real_target.refresh_from_db()

        facts = connection_check.check(real_target)
        run = executed(real_target, "backup")

    assert "The connection goes through a pooler such as PgBouncer." in facts.pooler
    assert facts.encryption == "none"
    assert run.state == RunState.FAILED
    assert "a connection pooler, not PostgreSQL" in run.summary
