"""An evidence pack that was exported: kept as a file, so that document and checklist say what it says."""

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
# What is made from a pack on the fly, by the ending of its name.
FORMATS = ("json", "pdf", "md")


def stored_name(_pack: EvidencePack, _name: str) -> str:
    """Where a pack is kept."""
    return f"{FOLDER}{uuid.uuid4().hex}.json"


class EvidencePack(models.Model):
    """A pack of a deployment as it was at a moment. Made by `export`, never changed."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="evidence_packs")
    made_at = models.DateTimeField(db_default=Now())
    by_name = models.CharField(max_length=200)
    file = models.FileField(upload_to=stored_name)
    size_bytes = models.BigIntegerField()
    # SHA-256 of the file: what document and checklist print, and what `sha256sum` says.
    digest = models.CharField(max_length=64)
    # Whether everything that is signed was signed; until then a pack shows where things stand.
    is_final = models.BooleanField()
    # The deployment's newest audit entry in it, and the head of the chain that it leads to.
    last_entry = models.BigIntegerField()
    head = models.CharField(max_length=90)
    # When the stored file was last read back, and what was wrong with it.
    verified_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)

    objects: ClassVar[models.Manager[EvidencePack]] = models.Manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"evidence of deployment {self.deployment_id}, {self.digest[:12]}"

    @classmethod
    def export(cls, deployment: Deployment, by: Actor) -> EvidencePack:
        """Make a pack of a deployment as it is now, sign it, keep it, and read it back.

        Args:
            by: who asks for it.

        Raises:
            SigningKeyMissing: there is no key to sign it with.
            ChainBroken: the audit chain does not hold, so nothing may rest on it.
        """
        key = signing_keys.signing_key()
        with deployment.locked():  # nobody changes what is being read
            found = Deployment.objects.select_related("target", "template_version__template")
            current = found.get(pk=deployment.pk)
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
        """The newest pack of a deployment to which nothing happened since, if intact; else a new one."""
        newest = cls.objects.filter(deployment=deployment, is_final=True, problem="").first()
        is_current = newest is not None and newest.last_entry == chain.last_entry_of(deployment.pk)
        # Read back first: what was altered meanwhile must not be signed into an archive.
        if newest is not None and is_current and newest.verify().ok:
            return newest
        return cls.export(deployment, by)

    def verify(self) -> Finding:
        """Read the stored file back and verify it as anybody else would; the result is kept."""
        try:
            finding = packs.verify(self.content(), signing_keys.trusted_keys())
        except Refusal as gone:
            finding = Finding("evidence pack")
            finding.add("", gone.message)
        self.problem = "; ".join(map(str, finding.problems))[:2000]
        type(self).objects.filter(pk=self.pk).update(problem=self.problem, verified_at=Now())
        self.refresh_from_db(fields=["verified_at"])
        return finding

    def content(self) -> bytes:
        """The bytes of the pack.

        Raises:
            Refusal: the file is gone.
        """
        try:
            with self.file.open("rb") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise Refusal(
                f"The file of this pack is no longer where it was kept. Its digest {self.digest} stays on "
                "record; export the evidence again, or have an administrator put the file back from a backup."
            ) from None

    def intact_content(self) -> bytes:
        """The bytes of the pack, verified: what a document or checklist is made from.

        Raises:
            Refusal: they are not what was exported, or gone.
        """
        content = self.content()
        if not self.verify().ok:
            raise Refusal(
                f"The file of this pack is damaged, so nothing is made from it. {self.problem[:300]}"
                " Export the evidence again, or have an administrator put the file back from a backup."
            )
        return content

    def record_download(self, by: Actor, kind: str) -> None:
        """Have the audit log say who took the evidence out.

        Args:
            kind: one of `FORMATS`.
        """
        with transaction.atomic():
            audit.append(
                Action.EVIDENCE_DOWNLOADED,
                by=by,
                subject=self.deployment,
                deployment_id=self.deployment_id,
                data={"form": kind, "digest": self.digest},
            )

    def file_name(self, kind: str) -> str:
        """What a download is called.

        Args:
            kind: one of `FORMATS`.
        """
        return f"deployment-{self.deployment_id}-{self.digest[:12]}.{kind}"
