from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "deployctl.audit"
    label = "audit"
