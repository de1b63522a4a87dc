from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "deployctl.runs"
    label = "runs"
