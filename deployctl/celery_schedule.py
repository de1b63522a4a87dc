"""What is done regularly, and by which worker."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

# Seconds or a time of day. What comes later than it expires is left to the next one.
BEAT: dict[str, dict[str, Any]] = {
    # With `run_states.UNSENT_AFTER`, what nobody could be told of is told within 10 s.
    "dispatch": {"task": "deployctl.runs.tasks.dispatch", "schedule": 5.0, "options": {"expires": 5}},
    "reap": {"task": "deployctl.runs.tasks.reap", "schedule": 15.0, "options": {"expires": 15}},
    "lapse": {"task": "deployctl.runs.tasks.lapse", "schedule": 30.0, "options": {"expires": 30}},
    # Once a day per target; more often, because a target may be busy.
    "expire": {"task": "deployctl.runs.tasks.expire", "schedule": 1800.0, "options": {"expires": 1800}},
    "settle": {"task": "checklists.tasks.settle", "schedule": 60.0, "options": {"expires": 60}},
    "sign-head": {"task": "deployctl.audit.tasks.sign_head", "schedule": 900.0, "options": {"expires": 900}},
    "verify-chain": {
        "task": "deployctl.audit.tasks.verify_chain",
        "schedule": crontab(hour="3", minute="17"),
        "options": {"expires": 3600},
    },
    "remind": {"task": "signoff.tasks.remind", "schedule": 3600.0, "options": {"expires": 3600}},
}

# Runs take hours. What looks after them has a queue and a worker of its own, never to wait behind them.
ROUTES = {entry["task"]: {"queue": "upkeep"} for entry in BEAT.values()} | {
    "deployctl.accounts.tasks.*": {"queue": "upkeep"}
}
