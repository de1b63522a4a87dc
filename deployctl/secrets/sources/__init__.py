"""The sources of secrets, one per module."""
