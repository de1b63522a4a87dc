"""Proofs of items: runs, check results, files, links and notes."""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.validators import URLValidator
from django.db import models

from checklists.proof_files import require_accepted_type
from checklists.validators import clean_note
from deployctl.errors import InvalidInput
from deployctl.runs.models import Run

MAX_FILE_BYTES = 10 * 1024 * 1024  # bytes
MAX_NAME_LENGTH = 200
FOLDER = "proofs/"
MAX_URL_LENGTH = 1000


class ProofKind(models.TextChoices):
    """The kind of a proof."""

    NOTE = "note", "Note"
    LINK = "link", "Link"
    FILE = "file", "File"
    RUN = "run", "Run"
    CHECK = "check", "Check"


class ProofOutcome(models.TextChoices):
    """The outcome of a proof; `NONE` for notes, links and files."""

    NONE = "", "—"
    PENDING = "pending", "Pending"
    PASS = "pass", "Pass"
    FAIL = "fail", "Fail"
    NOT_MEASURABLE = "not_measurable", "Not measurable"
    ERROR = "error", "Error"


# Proofs that satisfy an item's requirement for evidence.
COUNTS_AS_EVIDENCE = (ProofOutcome.NONE, ProofOutcome.PASS)


def stored_name(_proof: Proof, _name: str) -> str:
    """Return a random storage name; the uploaded file's own name is never used as a path."""
    return f"{FOLDER}{uuid.uuid4().hex}"


class ProofQuerySet(models.QuerySet["Proof"]):
    """A query of proofs."""

    def of_deployment(self, deployment_id: int) -> ProofQuerySet:
        """Return all proofs of a deployment with their runs, oldest first."""
        return self.filter(item__section__checklist__deployment=deployment_id).select_related("run")


class Proof(models.Model):
    """A proof of an item. Once its outcome is known, it is never edited; it is never deleted."""

    item = models.ForeignKey("checklists.Item", on_delete=models.PROTECT, related_name="proofs")
    kind = models.CharField(max_length=20, choices=ProofKind.choices)
    outcome = models.CharField(
        max_length=20, choices=ProofOutcome.choices, blank=True, default=ProofOutcome.NONE
    )
    text = models.TextField(blank=True)
    url = models.URLField(max_length=MAX_URL_LENGTH, blank=True)
    file = models.FileField(upload_to=stored_name, blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    file_size = models.BigIntegerField(null=True)
    file_sha256 = models.CharField(max_length=64, blank=True)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="proofs")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    valid_until = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Proof]] = models.Manager.from_queryset(ProofQuerySet)()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "run"],
                condition=models.Q(run__isnull=False),
                name="one_proof_per_item_and_run",
            )
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.get_kind_display()}"

    @property
    def title(self) -> str:
        """The proof's name for use inside a sentence."""
        match self.kind:
            case ProofKind.FILE:
                return f"file “{self.file_name}”"
            case ProofKind.LINK:
                return f"link {self.url}"
            case ProofKind.RUN:
                return f"run {self.run_id}"
            case _:
                return self.get_kind_display().lower()

    @property
    def outcome_phrase(self) -> str:
        """The outcome as it reads after “run 5”, such as “passed”."""
        phrases = {ProofOutcome.PASS: "passed", ProofOutcome.FAIL: "failed"}
        return phrases.get(ProofOutcome(self.outcome)) or self.get_outcome_display().lower()

    def delete_file(self) -> None:
        """Delete the file after the row was rolled back: a transaction doesn't cover files."""
        name = self.file.name or ""
        if name.startswith(FOLDER):
            self.file.storage.delete(name)


def note_proof(text: str) -> Proof:
    """Return an unsaved proof with a note.

    Raises:
        InvalidInput: the note is empty or too long.
    """
    text = clean_note(text)
    if not text:
        raise InvalidInput("The note is empty. Nothing was added; describe what you checked.")
    return Proof(kind=ProofKind.NOTE, text=text)


def link_proof(url: str, text: str) -> Proof:
    """Return an unsaved proof with a link.

    Raises:
        InvalidInput: the URL isn't http or https, is too long, or contains credentials.
    """
    url = url.strip()
    try:
        URLValidator(schemes=["http", "https"])(url)
    except ValidationError:
        url = ""
    if not url or len(url) > MAX_URL_LENGTH:
        raise InvalidInput(
            "The link isn't a valid URL. Nothing was added; enter a URL that begins with https:// or http:// "
            f"and has at most {MAX_URL_LENGTH} characters."
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "The link contains a user name or password, which everybody would see. "
            "Nothing was added; remove it from the link."
        )
    return Proof(kind=ProofKind.LINK, url=url, text=clean_note(text))


def file_proof(upload: File[bytes] | None, text: str) -> Proof:
    """Return an unsaved proof with a file, its size in bytes and its SHA-256.

    Args:
        upload: at most 10 MB; its name is shown to people and never used as a path.

    Raises:
        InvalidInput: the file is missing, empty or too large, or its type isn't accepted.
    """
    if upload is None:
        raise InvalidInput("No file was selected. Nothing was added; choose a file.")
    if not upload.size:
        raise InvalidInput(
            f"The file “{_display_name(upload)}” is empty. Nothing was added; choose another file."
        )
    if upload.size > MAX_FILE_BYTES:
        raise InvalidInput(
            f"The file “{_display_name(upload)}” has {upload.size:,} bytes; the maximum is "
            f"{MAX_FILE_BYTES:,} (10 MB). Nothing was added; attach an excerpt, or add a link."
        )
    require_accepted_type(upload, _display_name(upload))
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return Proof(
        kind=ProofKind.FILE,
        text=clean_note(text),
        file=upload,
        file_name=_display_name(upload),
        file_size=upload.size,
        file_sha256=digest.hexdigest(),
    )


def _display_name(upload: File[bytes]) -> str:
    """Return the file's name without folders and invisible characters, shortened before its extension."""
    name = PurePosixPath((upload.name or "").replace("\\", "/")).name
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip(" .") or "file"
    extension = PurePosixPath(name).suffix[:MAX_NAME_LENGTH]
    return name.removesuffix(extension)[: MAX_NAME_LENGTH - len(extension)] + extension
