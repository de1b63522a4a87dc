from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "deployctl.runs"
    label = "runs"

    def ready(self) -> None:
        """Connect the handlers."""
        from deployctl.runs import handlers  # noqa: F401
