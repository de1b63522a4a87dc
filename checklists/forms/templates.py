"""The form that imports a checklist."""

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
    """A Markdown file or pasted text, with the template's slug and name.

    `problems` lists the errors in the text with their lines.
    """

    file = forms.FileField(
        label="Markdown file",
        required=False,
        # After a failed import the text field contains the text of the previous file.
        help_text="At most 1 MB. If you choose a file, the text below is ignored.",
        widget=forms.ClearableFileInput(attrs={"accept": ".md,.markdown,.txt,text/markdown,text/plain"}),
    )
    text = forms.CharField(
        label="Or paste the text",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "class": "mono", "spellcheck": "false"}),
    )
    slug = forms.SlugField(
        label="Short name",
        required=False,
        max_length=60,
        help_text="Used in URLs and on the command line. If a template has this name, it gets a new version.",
    )
    name = forms.CharField(
        label="Name", required=False, max_length=200, help_text="Defaults to the title of the document."
    )

    problems: tuple[Problem, ...] = ()
    is_refused: bool = False

    def clean(self) -> dict[str, Any]:
        """Decode the file or text and parse it as a template."""
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
                # Browsers don't submit a file twice: show its text, so that the user can correct it in place.
                self.data = {**{name: self.data.get(name) for name in self.data}, "text": source}
            parsed = parse_template(source)
        except TemplateErrors as errors:
            self.problems = errors.problems
            raise forms.ValidationError(
                "The checklist has errors and wasn't imported. Correct the lines below and import it again."
            ) from None
        title = (upload.name or "").rpartition(".")[0] if upload else parsed.title
        return cleaned | {"source": source, "slug": cleaned.get("slug") or slug_of(title)}

    def import_source(self, by: Actor) -> TemplateVersion | None:
        """Save the text as a draft; on failure, add the error to the form and return None."""
        data = self.cleaned_data
        try:
            return Template.import_source(slug=data["slug"], name=data["name"], source=data["source"], by=by)
        except DeployctlError as error:
            self.is_refused = isinstance(error, Refusal)
            self.add_error(None, error.message)
            return None

    @property
    def status(self) -> int:
        """The HTTP status of the response that shows the form."""
        if not self.is_bound:
            return 200
        return 409 if self.is_refused else 422


def _uploaded(upload: UploadedFile[Any]) -> str:
    if (upload.size or 0) > MAX_BYTES:
        # Raises the error for a file that is too large, without reading the upload.
        return decode(b" " * (MAX_BYTES + 1), filename=upload.name or "")
    return decode(upload.read(), filename=upload.name or "")
