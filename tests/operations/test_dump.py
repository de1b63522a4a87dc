"""The command lines of pg_dump and pg_restore, and parsing a table of contents."""

from __future__ import annotations

from pathlib import Path

from deployctl.operations.backup import dump


def test_the_dump_command() -> None:
    argv = dump.dump_argv(Path("/bin/pg_dump"), into=Path("/b/shop.partial"), snapshot="00000003-1", jobs=2)

    assert argv == [
        "/bin/pg_dump",
        "--format=directory",
        "--jobs=2",
        "--compress=1",
        "--snapshot=00000003-1",
        "--lock-wait-timeout=30000",
        "--no-password",
        "--verbose",
        "--file=/b/shop.partial",
        "--dbname=keepalives_idle=15 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=30000",
    ]


def test_the_list_command() -> None:
    argv = dump.list_argv(Path("/bin/pg_restore"), archive=Path("-odd"), into=Path("/t/contents"))

    assert argv == ["/bin/pg_restore", "--list", "--file=/t/contents", "--", "-odd"]


def test_tables_with_data_are_counted_despite_misleading_names() -> None:
    listing = """;
; Archive created at 2026-01-02 03:04:05 UTC
;     dbname: 1; 0 1 TABLE DATA x
;
215; 1259 16389 TABLE public Plan app
3345; 0 16389 TABLE DATA public Plan app
3346; 0 16392 TABLE DATA public TABLE DATA x app
3351; 0 0 SEQUENCE SET public Plan_id_seq app
3200; 2606 16394 CONSTRAINT public Plan Plan_pkey app
"""
    assert dump.tables_with_data(listing) == 2
