from django.apps import AppConfig


class ChecklistsConfig(AppConfig):
    name = "checklists"

    def ready(self) -> None:
        """Connect the handlers to their hooks."""
        from checklists import handlers  # noqa: F401
