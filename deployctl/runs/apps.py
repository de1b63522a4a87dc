from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "deployctl.runs"
    label = "runs"

    def ready(self) -> None:
        """Declare what may be watched live."""
        from deployctl.runs import channels  # noqa: F401 - importing declares them
