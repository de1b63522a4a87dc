"""A real Celery worker that also knows the tests' operations: `python -m tests.faults.worker`."""

from __future__ import annotations


def main() -> None:
    from deployctl.celery import app  # sets Django up

    app.loader.import_default_modules()
    from tests.runs import operations

    operations.install()
    options = ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    app.worker_main(["worker", "--loglevel", "WARNING", *options])


if __name__ == "__main__":
    main()
