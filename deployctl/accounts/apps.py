from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "deployctl.accounts"
    label = "accounts"
