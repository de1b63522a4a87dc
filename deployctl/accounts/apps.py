from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "deployctl.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Have administrators told of a broken audit chain."""
        from deployctl.accounts import notices
        from deployctl.audit import listeners

        listeners.on_broken(notices.on_commit)
