"""List, show, import, publish and export templates."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checklists import builtin
from checklists.forms.templates import TemplateForm
from checklists.markdown import ParsedTemplate, TemplateErrors, template_warnings
from checklists.models import Template, TemplateVersion
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import approver, member, operator
from deployctl.accounts.roles import Permission
from deployctl.web.http import see_other


@require_safe
@member
def template_list(request: HttpRequest) -> HttpResponse:
    """List the templates, each with its newest and its current version."""
    context = {
        "templates": Template.objects.with_versions(),
        "may_import": _may(request, Permission.OPERATOR),
    }
    return render(request, "checklists/template_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@operator
def template_new(request: HttpRequest) -> HttpResponse:
    """Import a checklist as a new template or as a new version of one."""
    is_post = request.method == "POST"
    form = TemplateForm(
        request.POST if is_post else None, request.FILES if is_post else None, initial=_initial(request)
    )
    if form.is_valid():
        version = form.import_source(by=current_user(request))
        if version:
            messages.success(request, f"{version} was imported as a draft. Review it, then publish it.")
            return see_other(request, version.get_absolute_url())
    return render(request, "checklists/template_new.html", {"form": form}, status=form.status)


@require_safe
@member
def template_detail(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    """Show a template version, by default the newest, and list the others."""
    template = get_object_or_404(Template.objects.with_versions(), slug=slug)
    version = _version(slug, number or (template.latest.number if template.latest else 0))
    context = {"template": template, "version": version, "may_import": _may(request, Permission.OPERATOR)}
    try:
        parsed = version.parsed()
        context |= {"parsed": parsed, "totals": _totals(parsed), "warnings": template_warnings(parsed)}
    except TemplateErrors as errors:
        context["problems"] = errors.problems
    context["may_publish"] = _may(request, Permission.APPROVER) and not version.is_published
    return render(request, "checklists/template_detail.html", context)


@require_POST
@approver
def template_publication(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Publish a draft version."""
    version = _version(slug, number)
    version.publish(by=current_user(request))
    messages.success(request, f"{version} was published. New deployments can use it.")
    return see_other(request, version.get_absolute_url())


@require_safe
@member
def template_export(request: HttpRequest, slug: str, number: int) -> HttpResponse:  # noqa: ARG001
    """Download a version as a Markdown file."""
    text = _version(slug, number).exported()
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-v{number}.md"'
    return response


def _version(slug: str, number: int) -> TemplateVersion:
    versions = TemplateVersion.objects.select_related("template")
    return get_object_or_404(versions, template__slug=slug, number=number)


def _initial(request: HttpRequest) -> dict[str, str]:
    """Return initial values from the template named by `?slug=`, or from a built-in one."""
    slug = request.GET.get("slug", "")
    latest = TemplateVersion.objects.select_related("template").filter(template__slug=slug).first()
    if latest:
        return {"slug": slug, "name": latest.template.name, "text": latest.source}
    return {"slug": slug, "text": builtin.source(slug)} if slug in builtin.slugs() else {}


def _totals(parsed: ParsedTemplate) -> dict[str, int]:
    items = list(parsed.walk_items())
    return {
        "items": len(items),
        "parents": sum(1 for item in items if item.children),
        "automated": sum(1 for item in items if item.operation or item.check),
        "signatures": len(parsed.slots),
    }


def _may(request: HttpRequest, permission: Permission) -> bool:
    return current_user(request).may(permission)
