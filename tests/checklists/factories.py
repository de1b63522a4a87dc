"""Factories for tests: a small template, targets, deployments and runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from checklists.models import Deployment, Item, Template, TemplateVersion
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.audit import Machine
from deployctl.runs.models import Run, RunState, Target

MACHINE = Machine("test")

SMALL = """\
# Small checklist

## Before <!-- stage: pre, due: -1w -->

### Groundwork
Read this first.
```bash
createdb it
```
- [ ] Server is there <!-- role: dba -->
- [ ] Anybody checks this
- [ ] Papers are filed <!-- role: devops_lead, evidence: true -->
- [ ] Connection works <!-- operation: connect, role: dba -->
- [ ] Thresholds set <!-- role: dba -->
  - [ ] Pool `> 80%`
  - [ ] Disk `< 20%`

## The day <!-- stage: deploy, due: +2h -->

### Schema
- [ ] Migrations applied <!-- operation: migrate, role: dba -->
- [ ] Looked at the log

## After <!-- stage: post, due: +1d -->
- [ ] Users can sign in <!-- role: qa_lead -->

## Week <!-- stage: week, due: +1w -->
- [ ] Reviewed the logs

## Sign-off

### Approval <!-- gate: pre -->
- [ ] Database Administrator: ____ Date: ____ <!-- sign: pre, role: dba -->
- [ ] DevOps Lead: ____ Date: ____ <!-- sign: pre, role: devops_lead -->

### Verification <!-- gate: post -->
- [ ] QA Lead: ____ Date: ____ <!-- sign: post, role: qa_lead -->
"""


def published(source: str = SMALL, slug: str = "small") -> TemplateVersion:
    """Import and publish a template, and return the version."""
    version = Template.import_source(slug=slug, name=slug.title(), source=source, by=MACHINE)
    version.publish(by=MACHINE)
    return version


def a_target(name: str = "shop", environment: str = "production") -> Target:
    """Create a target whose connection isn't used."""
    return Target.add(name=name, environment=environment, connection_reference="env:DATABASE_URL", by=MACHINE)


def in_hours(hours: float) -> datetime:
    """Return the time in `hours` from now."""
    return timezone.now() + timedelta(hours=hours)


def plan(
    target: Target, version: TemplateVersion, team: list[tuple[User, str]], **changes: Any
) -> Deployment:
    """Create a deployment whose window starts in 24 hours; `changes` override its other arguments."""
    facts: dict[str, Any] = {
        "title": "Shop goes live",
        "window_start": in_hours(24),
        "window_end": in_hours(26),
        "rollback_plan": "Restore the backup.",
        "by": MACHINE,
    }
    return Deployment.create(target=target, template_version=version, team=team, **(facts | changes))


def item(deployment: Deployment, text: str) -> Item:
    """Return the item whose text starts with `text`."""
    return Item.objects.of_deployment(deployment.pk).get(text__startswith=text)


def team_of(dba: User, devops_lead: User, qa_lead: User) -> list[tuple[User, str]]:
    """Return a team of three people with one role each."""
    return [(dba, Role.DBA), (devops_lead, Role.DEVOPS_LEAD), (qa_lead, Role.QA_LEAD)]


def finish(run: Run, state: RunState, summary: str = "It went well.") -> None:
    """End a run as a worker would."""
    from django.db import transaction

    from deployctl.runs import hooks

    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state=state, summary=summary)
        run.refresh_from_db()
        hooks.run_finished.send(run)
