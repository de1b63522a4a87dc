"""What backs an item: a run, a check's result, a file, a link or a note."""

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

from checklists.proof_files import require_known_kind
from checklists.validators import clean_note
from deployctl.errors import InvalidInput
from deployctl.runs.models import Run

MAX_FILE_BYTES = 10 * 1024 * 1024  # bytes
MAX_NAME_LENGTH = 200
FOLDER = "proofs/"
MAX_URL_LENGTH = 1000


class ProofKind(models.TextChoices):
    """What a proof is made of."""

    NOTE = "note", "Note"
    LINK = "link", "Link"
    FILE = "file", "File"
    RUN = "run", "Run"
    CHECK = "check", "Check"


class ProofOutcome(models.TextChoices):
    """What a proof says; people's notes, links and files say nothing by themselves."""

    NONE = "", "—"
    PENDING = "pending", "Pending"
    PASS = "pass", "Pass"
    FAIL = "fail", "Fail"
    NOT_MEASURABLE = "not_measurable", "Not measurable"
    ERROR = "error", "Error"


# What counts as evidence where an item asks for some.
COUNTS_AS_EVIDENCE = (ProofOutcome.NONE, ProofOutcome.PASS)


def stored_name(_proof: Proof, _name: str) -> str:
    """Where an uploaded file is kept: under a name of ours, because theirs may be anything."""
    return f"{FOLDER}{uuid.uuid4().hex}"


class ProofQuerySet(models.QuerySet["Proof"]):
    """Proofs."""

    def of_deployment(self, deployment_id: int) -> ProofQuerySet:
        """All proofs of a deployment with their runs, the oldest first."""
        return self.filter(item__section__checklist__deployment=deployment_id).select_related("run")


class Proof(models.Model):
    """A row that backs an item; never edited, never deleted."""

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
        """What to call it in a sentence."""
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
        """What its run found, as it reads after “run 5”."""
        in_words = {ProofOutcome.PASS: "passed", ProofOutcome.FAIL: "failed"}
        return in_words.get(ProofOutcome(self.outcome)) or self.get_outcome_display().lower()

    def delete_file(self) -> None:
        """Remove the file of a proof whose row was not kept: it does not go with the transaction."""
        name = self.file.name or ""
        if name.startswith(FOLDER):
            self.file.storage.delete(name)


def note_proof(text: str) -> Proof:
    """A note, not yet saved.

    Raises:
        InvalidInput: empty or too long.
    """
    text = clean_note(text)
    if not text:
        raise InvalidInput("The note is empty. Nothing was added; write what you saw.")
    return Proof(kind=ProofKind.NOTE, text=text)


def link_proof(url: str, text: str) -> Proof:
    """A link to a page of the web, not yet saved.

    Raises:
        InvalidInput: not an address that begins with http:// or https://, or too long.
    """
    url = url.strip()
    try:
        URLValidator(schemes=["http", "https"])(url)
    except ValidationError:
        url = ""
    if not url or len(url) > MAX_URL_LENGTH:
        raise InvalidInput(
            "The link cannot be used. Nothing was added; give an address that begins with https:// or "
            f"http://, at most {MAX_URL_LENGTH} characters long."
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "The link holds a user name or a password, and everybody who sees the deployment would read it. "
            "Nothing was added; give the address without."
        )
    return Proof(kind=ProofKind.LINK, url=url, text=clean_note(text))


def file_proof(upload: File[bytes] | None, text: str) -> Proof:
    """A file with its size and digest, not yet saved.

    Args:
        upload: at most 10 MB; its name is kept for people and never used as a path.

    Raises:
        InvalidInput: no file, an empty one, one that is too large or of no kind that is kept.
    """
    if upload is None:
        raise InvalidInput("No file was given. Nothing was added; choose one.")
    if not upload.size:
        raise InvalidInput(f"The file “{_shown_name(upload)}” is empty. Nothing was added.")
    if upload.size > MAX_FILE_BYTES:
        raise InvalidInput(
            f"The file “{_shown_name(upload)}” has {upload.size:,} bytes; the most is "
            f"{MAX_FILE_BYTES:,} (10 MB). Nothing was added; attach a part of it, or a link."
        )
    require_known_kind(upload, _shown_name(upload))
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return Proof(
        kind=ProofKind.FILE,
        text=clean_note(text),
        file=upload,
        file_name=_shown_name(upload),
        file_size=upload.size,
        file_sha256=digest.hexdigest(),
    )


def _shown_name(upload: File[bytes]) -> str:
    """The name a person gave, without folders and without characters that cannot be seen.

    A long one loses its end, but not its ending.
    """
    name = PurePosixPath((upload.name or "").replace("\\", "/")).name
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip(" .") or "file"
    ending = PurePosixPath(name).suffix[:MAX_NAME_LENGTH]
    return name.removesuffix(ending)[: MAX_NAME_LENGTH - len(ending)] + ending
