from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "deployctl.runs"
    label = "runs"

    def ready(self) -> None:
        """Declare what may be watched live, and say how stored secrets are read."""
        from deployctl.runs import channels, identity  # noqa: F401 - importing declares them
        from deployctl.runs.models import StoredSecret
        from deployctl.secrets.sources import stored

        stored.read_with(StoredSecret.read)
