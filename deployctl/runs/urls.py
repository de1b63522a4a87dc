"""The URLs of targets, runs and backups, and of live updates."""

from __future__ import annotations

import re

from django.urls import path

from deployctl.accounts.policies import member
from deployctl.runs.views import (
    backup_files,
    log_stream,
    person_roles,
    retention,
    runs,
    target_settings,
    targets,
)
from deployctl.web.live import live

app_name = "runs"

# Upload URLs, whose file `web.file_forms` receives instead of Django.
UPLOADS = re.compile(r"/targets/[-\w]+/backups/uploads")

urlpatterns = [
    # Here because the package `web` may not import policies.
    path("live/", member(live), name="live"),
    path("targets/", targets.target_list, name="targets"),
    path("targets/new", target_settings.target_new, name="target_new"),
    path("targets/<slug:name>/", targets.target_detail, name="target"),
    path("targets/<slug:name>/recent", targets.target_recent, name="target_recent"),
    path("targets/<slug:name>/settings", target_settings.target_settings, name="target_settings"),
    path("targets/<slug:name>/roles", target_settings.target_roles, name="target_roles"),
    path("targets/<slug:name>/roles/<int:number>", target_settings.target_role, name="target_role"),
    path("targets/<slug:name>/secrets", target_settings.target_secrets, name="target_secrets"),
    path("targets/<slug:name>/secrets/<slug:secret>", target_settings.target_secret, name="target_secret"),
    path(
        "targets/<slug:name>/stored-secrets",
        target_settings.target_stored_secrets,
        name="target_stored_secrets",
    ),
    path(
        "targets/<slug:name>/physical-engine",
        target_settings.target_physical_engine,
        name="target_physical_engine",
    ),
    path("targets/<slug:name>/retention", retention.retention, name="retention"),
    path("targets/<slug:name>/retention/policy", retention.retention_policy, name="retention_policy"),
    path("targets/<slug:name>/archival", target_settings.target_archival, name="target_archival"),
    path("targets/<slug:name>/connection", targets.target_connection, name="target_connection"),
    path("targets/<slug:name>/runs", targets.target_runs, name="target_runs"),
    path("targets/<slug:name>/backups/", runs.backup_list, name="target_backups"),
    path("targets/<slug:name>/backups/new", backup_files.backup_new, name="backup_new"),
    path("targets/<slug:name>/backups/uploads", backup_files.backup_uploads, name="backup_uploads"),
    path("people/<int:number>/roles/", person_roles.person_roles, name="person_roles"),
    path("people/<int:number>/roles/<int:role>/", person_roles.person_role, name="person_role"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/<int:number>/", runs.run_detail, name="run"),
    path("runs/<int:number>/parts/<slug:part>", runs.run_part, name="run_part"),
    path("runs/<int:number>/log", runs.run_log, name="run_log"),
    path("runs/<int:number>/log.txt", log_stream.run_log_text, name="run_log_text"),
    path("runs/<int:number>/stream", log_stream.run_stream, name="run_stream"),
    path("runs/<int:number>/cancellation", runs.run_cancellation, name="run_cancellation"),
    path("runs/<int:number>/decision", runs.run_decision, name="run_decision"),
    path("runs/<int:number>/consent", runs.run_consent, name="run_consent"),
    path("runs/<int:number>/objection", runs.run_objection, name="run_objection"),
    path("runs/<int:number>/lock-waits", runs.run_lock_waits, name="run_lock_waits"),
    path("runs/<int:number>/diagnostics", runs.run_diagnostics, name="run_diagnostics"),
    path("backups/", runs.backup_list, name="backups"),
    path("backups/<slug:name>/downloads", backup_files.backup_downloads, name="backup_downloads"),
]
