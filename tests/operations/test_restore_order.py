"""What a parallel restore does side by side, and what in turn."""

from __future__ import annotations

from deployctl.operations.restore.pg_restore import split_entries

TOGETHER = """\
215; 1259 16385 TABLE public visit owner
4001; 0 16385 TABLE DATA public visit owner
3345; 2606 16397 CONSTRAINT public visit visit_pkey owner
3346; 1259 16398 INDEX public FK CONSTRAINT owner
3350; 3256 16401 POLICY public visit TRIGGER owner
"""
FOREIGN_KEY = "3347; 2606 16399 FK CONSTRAINT public visit visit_person_fkey owner\n"
IN_TURN = """\
3348; 2606 16400 CHECK CONSTRAINT public visit late owner
3349; 2620 16402 TRIGGER public visit touch owner
4002; 0 0 COMMENT public CONSTRAINT late ON visit owner
"""
ATTACHED = "216; 0 0 TABLE ATTACH public visit_2024 owner\n"
HEAD = ";\n; Archive created at 2026-01-01\n;     dbname: 7; 2620 1 TRIGGER \n;\n"


def test_what_locks_partitions_comes_after_what_fills_them() -> None:
    assert split_entries(HEAD + ATTACHED + FOREIGN_KEY + TOGETHER + IN_TURN) == (
        ATTACHED + TOGETHER,
        FOREIGN_KEY + IN_TURN,
    )


def test_without_partitions_foreign_keys_are_checked_side_by_side() -> None:
    assert split_entries(HEAD + TOGETHER + IN_TURN + FOREIGN_KEY) == (TOGETHER + FOREIGN_KEY, IN_TURN)


def test_nothing_to_do_in_turn_is_an_empty_list() -> None:
    assert split_entries(HEAD + TOGETHER) == (TOGETHER, "")
