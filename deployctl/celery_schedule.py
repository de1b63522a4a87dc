"""The schedule and the queues of periodic tasks."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

# `schedule` is in seconds or a time of day. A task that starts too late expires; the next one does its work.
BEAT: dict[str, dict[str, Any]] = {
    # With `run_states.UNSENT_AFTER`, a run whose message was lost is sent again within 10 s.
    "dispatch": {"task": "deployctl.runs.tasks.dispatch", "schedule": 5.0, "options": {"expires": 5}},
    "reap": {"task": "deployctl.runs.tasks.reap", "schedule": 15.0, "options": {"expires": 15}},
    "expire-consents": {
        "task": "deployctl.runs.tasks.expire_consents",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    # Once a day per target; more often, because a target may be busy.
    "expire-backups": {
        "task": "deployctl.runs.tasks.expire_backups",
        "schedule": 1800.0,
        "options": {"expires": 1800},
    },
    "settle": {"task": "checklists.tasks.settle", "schedule": 60.0, "options": {"expires": 60}},
    "sign-head": {"task": "deployctl.audit.tasks.sign_head", "schedule": 900.0, "options": {"expires": 900}},
    "verify-chain": {
        "task": "deployctl.audit.tasks.verify_chain",
        "schedule": crontab(hour="3", minute="17"),
        "options": {"expires": 3600},
    },
    "remind": {"task": "signoff.tasks.remind", "schedule": 3600.0, "options": {"expires": 3600}},
}

# Periodic tasks have their own queue and worker, so that they never wait for runs, which can take hours.
ROUTES = {entry["task"]: {"queue": "maintenance"} for entry in BEAT.values()} | {
    "deployctl.accounts.tasks.*": {"queue": "maintenance"}
}
