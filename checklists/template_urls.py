"""Addresses of templates, below /templates/."""

from __future__ import annotations

from django.urls import path

from checklists.views import templates

urlpatterns = [
    path("", templates.template_list, name="template_list"),
    path("new", templates.template_new, name="template_new"),
    path("<slug:slug>/", templates.template_detail, name="template"),
    path("<slug:slug>/versions/<int:number>/", templates.template_detail, name="template_version"),
    path(
        "<slug:slug>/versions/<int:number>/publication",
        templates.template_publication,
        name="template_publication",
    ),
    path("<slug:slug>/versions/<int:number>/export.md", templates.template_export, name="template_export"),
]
