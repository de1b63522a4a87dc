"""Monitoring of targets: probes, readings, alerts, routines and incidents will live here. Empty so far.

The floor is laid so that nothing below comes to depend on it: monitoring imports `checklists` and what lies
under it, never `signoff`, and nothing imports monitoring.
"""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
