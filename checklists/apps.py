from django.apps import AppConfig


class ChecklistsConfig(AppConfig):
    name = "checklists"

    def ready(self) -> None:
        """Listen to runs, and say who may watch a deployment live."""
        from checklists import live, runs  # noqa: F401 (they register themselves)
