"""The app for monitoring of targets; empty until probes, alerts and incidents are added.

It reserves the place in the layers: monitoring may import `checklists` and lower packages but not `signoff`,
and only the top layer may import monitoring.
"""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
