"""The embedded installation: PostgreSQL, Redis and deployctl's own processes, with all data in one folder."""
