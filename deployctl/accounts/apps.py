from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "deployctl.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Notify administrators when the audit chain is broken."""
        from deployctl.accounts import security_emails
        from deployctl.audit.hooks import chain_broken

        chain_broken.connect(security_emails.send_on_commit)
