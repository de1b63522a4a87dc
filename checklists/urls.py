"""URLs of the home page, deployments, items, proofs, the history and templates."""

from __future__ import annotations

from django.urls import path

from checklists.views import (
    deployments,
    history,
    home,
    items,
    plans,
    proofs,
    sections,
    templates,
    transitions,
)

app_name = "checklists"

urlpatterns = [
    path("", home.home, name="home"),
    path("home/<slug:name>", home.home_fragment, name="home_fragment"),
    # Deployments
    path("deployments/", deployments.deployment_list, name="deployments"),
    path("deployments/new", plans.deployment_new, name="deployment_new"),
    path("deployments/<int:number>/", deployments.deployment_detail, name="deployment"),
    path("deployments/<int:number>/plan", plans.deployment_edit, name="deployment_edit"),
    path(
        "deployments/<int:number>/state",
        deployments.deployment_fragment,
        {"name": "state"},
        name="deployment_state",
    ),
    path(
        "deployments/<int:number>/progress",
        deployments.deployment_fragment,
        {"name": "progress"},
        name="deployment_progress",
    ),
    path(
        "deployments/<int:number>/timeline",
        deployments.deployment_fragment,
        {"name": "timeline"},
        name="deployment_timeline",
    ),
    path("deployments/<int:number>/phases/<int:position>", deployments.phase_head, name="phase"),
    # Transitions
    path("deployments/<int:number>/start", transitions.start, name="start"),
    path("deployments/<int:number>/verification", transitions.verification, name="verification"),
    path("deployments/<int:number>/closure", transitions.closure, name="closure"),
    path("deployments/<int:number>/cancellation", transitions.cancellation, name="cancellation"),
    path("deployments/<int:number>/halt", transitions.halt, name="halt"),
    path("deployments/<int:number>/rollback", transitions.rollback, name="rollback"),
    path("deployments/<int:number>/rollback/runs", transitions.rollback_runs, name="rollback_runs"),
    path(
        "deployments/<int:number>/rollback/completion",
        transitions.rollback_completion,
        name="rollback_completion",
    ),
    # Sections and items
    path("sections/<int:number>/", sections.section_head, name="section"),
    path("sections/<int:number>/completions", sections.completions, name="section_completions"),
    path("items/<int:number>/", items.item_detail, name="item"),
    path("items/<int:number>/completion", items.completion, name="item_completion"),
    path("items/<int:number>/waiver", items.waiver, name="item_waiver"),
    path("items/<int:number>/proofs", items.proofs, name="item_proofs"),
    path("items/<int:number>/runs", items.runs, name="item_runs"),
    path("proofs/<int:number>/file", proofs.file, name="proof_file"),
    # History
    path("history/", history.history, name="history"),
    path("history.csv", history.history_csv, name="history_csv"),
    # Templates
    path("templates/", templates.template_list, name="template_list"),
    path("templates/new", templates.template_new, name="template_new"),
    path("templates/<slug:slug>/", templates.template_detail, name="template"),
    path("templates/<slug:slug>/<int:number>/", templates.template_detail, name="template_version"),
    path(
        "templates/<slug:slug>/<int:number>/publication",
        templates.template_publication,
        name="template_publication",
    ),
    path("templates/<slug:slug>/<int:number>.md", templates.template_export, name="template_export"),
]
