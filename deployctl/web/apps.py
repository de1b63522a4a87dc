from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "deployctl.web"
    label = "web"
