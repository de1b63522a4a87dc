"""Exported evidence packs, stored as files."""

from __future__ import annotations

import tempfile
import uuid
from typing import ClassVar

from django.core.files import File
from django.db import models, transaction
from django.db.models.functions import Now

from checklists.models import Deployment
from deployctl import audit
from deployctl.audit import Actor, signing_keys
from deployctl.audit.actions import Action
from deployctl.errors import Refusal
from signoff.evidence import chain, pack_contents
from signoff.verifier import pack as packs
from signoff.verifier import pack_format
from signoff.verifier.findings import Finding

FOLDER = "evidence/"
# The download formats, by file extension. PDF and Markdown are generated from the pack.
FORMATS = ("json", "pdf", "md")


def stored_name(_pack: EvidencePack, _name: str) -> str:
    """Return a unique path for the file of a pack."""
    return f"{FOLDER}{uuid.uuid4().hex}.json"


class EvidencePack(models.Model):
    """An evidence pack of a deployment as of its export. Created by `export`; its content never changes."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="evidence_packs")
    made_at = models.DateTimeField(db_default=Now())
    by_name = models.CharField(max_length=200)
    file = models.FileField(upload_to=stored_name)
    size_bytes = models.BigIntegerField()
    # SHA-256 of the file. The PDF and the checklist print it.
    digest = models.CharField(max_length=64)
    # True if the deployment had ended, so that signed content no longer changes.
    is_final = models.BooleanField()
    # The deployment's newest audit entry in the pack, and the signed head of its chain.
    last_entry = models.BigIntegerField()
    head = models.CharField(max_length=90)
    # The time of the last verification of the stored file, and the problems that it found.
    verified_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    objects: ClassVar[models.Manager[EvidencePack]] = models.Manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"evidence of deployment {self.deployment_id}, {self.digest[:12]}"

    @classmethod
    def export(cls, deployment: Deployment, by: Actor) -> EvidencePack:
        """Create a pack of the deployment's current state, sign it, store it and verify it.

        Args:
            by: the person or machine that exports it.

        Raises:
            SigningKeyMissing: no key is configured to sign the pack.
            ChainBroken: the audit chain has been altered.
        """
        key = signing_keys.signing_key()
        with deployment.locked():
            related = Deployment.objects.select_related("target", "template_version__template")
            current = related.get(pk=deployment.pk)
            contents = pack_contents.build(current, audit.actor_name(by))
            last = chain.last_entry_of(current.pk)
        contents["chain"], head = chain.chain_of(current.pk, last)
        with tempfile.TemporaryFile() as stream:
            digest = pack_format.write(contents, key, stream)
            size = stream.tell()
            stream.seek(0)
            pack = cls(
                deployment=current,
                by_name=audit.actor_name(by),
                size_bytes=size,
                digest=digest,
                is_final=contents["about"]["final"],
                last_entry=last,
                head=str(head),
            )
            pack.file.save("pack.json", File(stream), save=False)
        try:
            with transaction.atomic():
                pack.save(force_insert=True)
                facts = {"digest": digest, "final": pack.is_final, "size_bytes": size}
                audit.append(
                    Action.EVIDENCE_EXPORTED, by=by, subject=current, deployment_id=current.pk, data=facts
                )
        except BaseException:
            pack.file.storage.delete(pack.file.name or "")
            raise
        pack.verify()
        return pack

    @classmethod
    def latest_or_export(cls, deployment: Deployment, by: Actor) -> EvidencePack:
        """Return the newest final pack if it is intact and nothing happened since; else export a new one."""
        newest = cls.objects.filter(deployment=deployment, is_final=True, problem="").first()
        is_current = newest is not None and newest.last_entry == chain.last_entry_of(deployment.pk)
        # Verify it first, because an altered pack must not get into a signed archive.
        if newest is not None and is_current and newest.verify().ok:
            return newest
        return cls.export(deployment, by)

    def verify(self) -> Finding:
        """Verify the stored file, and save the result."""
        try:
            finding = packs.verify(self.content(), signing_keys.trusted_keys())
        except Refusal as error:
            finding = Finding("evidence pack")
            finding.add("", error.message)
        self.problem = "; ".join(map(str, finding.problems))[:2000]
        type(self).objects.filter(pk=self.pk).update(problem=self.problem, verified_at=Now())
        self.refresh_from_db(fields=["verified_at"])
        return finding

    def content(self) -> bytes:
        """Return the bytes of the pack.

        Raises:
            Refusal: the file is missing.
        """
        try:
            with self.file.open("rb") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise Refusal(
                f"The file of this pack ({self.digest}) is missing from storage. Export the evidence again, "
                "or ask an administrator to restore the file from a backup."
            ) from None

    def intact_content(self) -> bytes:
        """Return the bytes of the pack after verifying them.

        Raises:
            Refusal: the file is damaged or missing.
        """
        content = self.content()
        if not self.verify().ok:
            raise Refusal(
                f"The file of this pack is damaged and cannot be used. {self.problem[:300]}"
                " Export the evidence again, or ask an administrator to restore the file from a backup."
            )
        return content

    def record_download(self, by: Actor, kind: str) -> None:
        """Record the download in the audit log.

        Args:
            kind: one of `FORMATS`.
        """
        with transaction.atomic():
            audit.append(
                Action.EVIDENCE_DOWNLOADED,
                by=by,
                subject=self.deployment,
                deployment_id=self.deployment_id,
                data={"format": kind, "digest": self.digest},
            )

    def file_name(self, kind: str) -> str:
        """Return the file name of a download.

        Args:
            kind: one of `FORMATS`.
        """
        return f"deployment-{self.deployment_id}-{self.digest[:12]}.{kind}"
