from django.apps import AppConfig


class ChecklistsConfig(AppConfig):
    name = "checklists"

    def ready(self) -> None:
        """Listen to runs, targets and people, and say who may watch a deployment live."""
        from checklists import echoes, live, runs  # noqa: F401 (they register themselves)
