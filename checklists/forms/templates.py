"""The form that takes a checklist in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from checklists.markdown import MAX_BYTES, Problem, TemplateErrors, decode
from checklists.markdown.slugs import slug as slug_of
from checklists.models import Template, TemplateVersion
from checklists.template_parsing import parse_template
from deployctl.audit import Actor
from deployctl.errors import DeployctlError, Refusal


class TemplateForm(forms.Form):
    """A Markdown file or pasted text, and what it is called here.

    `problems` lists what is wrong with the text, each with its line.
    """

    file = forms.FileField(
        label="Markdown file",
        required=False,
        # The text may be that of the file that was tried before and has been mended since.
        help_text="At most 1 MB. A chosen file goes before the text below.",
        widget=forms.ClearableFileInput(attrs={"accept": ".md,.markdown,.txt,text/markdown,text/plain"}),
    )
    text = forms.CharField(
        label="Or the text itself",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "class": "mono", "spellcheck": "false"}),
    )
    slug = forms.SlugField(
        label="Short name",
        required=False,
        max_length=60,
        help_text="For addresses and the command line. A template of this name gets a new version.",
    )
    name = forms.CharField(
        label="Name", required=False, max_length=200, help_text="By default the title of the document."
    )

    problems: tuple[Problem, ...] = ()
    refused: bool = False

    def clean(self) -> dict[str, Any]:
        """Settle on one text and make sure that it is a template."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        upload: UploadedFile[Any] | None = cleaned.get("file")
        pasted: str = cleaned.get("text", "")
        if not upload and not pasted.strip():
            raise forms.ValidationError("Choose a file or paste the text. Nothing was imported.")
        try:
            source = _uploaded(upload) if upload else decode(pasted.encode())
            if upload:
                self._show_again(source)
            parsed = parse_template(source)
        except TemplateErrors as errors:
            self.problems = errors.problems
            raise forms.ValidationError("This cannot be imported yet; nothing was kept.") from None
        title = (upload.name or "").rpartition(".")[0] if upload else parsed.title
        return cleaned | {"source": source, "slug": cleaned.get("slug") or slug_of(title)}

    def import_source(self, by: Actor) -> TemplateVersion | None:
        """Keep the text as a draft, or say on the form why not."""
        data = self.cleaned_data
        try:
            return Template.import_source(slug=data["slug"], name=data["name"], source=data["source"], by=by)
        except DeployctlError as error:
            self.refused = isinstance(error, Refusal)
            self.add_error(None, error.message)
            return None

    @property
    def status(self) -> int:
        """The HTTP status with which the form is shown again."""
        if not self.is_bound:
            return 200
        return 409 if self.refused else 422

    def _show_again(self, source: str) -> None:
        """Browsers never send a file twice by themselves: offer its text, which can be mended in place."""
        self.data = {**{name: self.data.get(name) for name in self.data}, "text": source}


def _uploaded(upload: UploadedFile[Any]) -> str:
    if (upload.size or 0) > MAX_BYTES:
        return decode(b" " * (MAX_BYTES + 1), filename=upload.name or "")  # says so, without reading it
    return decode(upload.read(), filename=upload.name or "")
