"""Tests for the entries that a parallel restore restores in parallel and one by one."""

from __future__ import annotations

from deployctl.operations.restore.pg_restore import split_entries

PARALLEL = """\
215; 1259 16385 TABLE public visit owner
4001; 0 16385 TABLE DATA public visit owner
3345; 2606 16397 CONSTRAINT public visit visit_pkey owner
3346; 1259 16398 INDEX public FK CONSTRAINT owner
3350; 3256 16401 POLICY public visit TRIGGER owner
"""
FOREIGN_KEY = "3347; 2606 16399 FK CONSTRAINT public visit visit_person_fkey owner\n"
SEQUENTIAL = """\
3348; 2606 16400 CHECK CONSTRAINT public visit late owner
3349; 2620 16402 TRIGGER public visit touch owner
4002; 0 0 COMMENT public CONSTRAINT late ON visit owner
"""
ATTACHED = "216; 0 0 TABLE ATTACH public visit_2024 owner\n"
HEAD = ";\n; Archive created at 2026-01-01\n;     dbname: 7; 2620 1 TRIGGER \n;\n"


def test_entries_that_lock_partitions_are_restored_one_by_one() -> None:
    assert split_entries(HEAD + ATTACHED + FOREIGN_KEY + PARALLEL + SEQUENTIAL) == (
        ATTACHED + PARALLEL,
        FOREIGN_KEY + SEQUENTIAL,
    )


def test_foreign_keys_are_parallel_without_partitions() -> None:
    assert split_entries(HEAD + PARALLEL + SEQUENTIAL + FOREIGN_KEY) == (PARALLEL + FOREIGN_KEY, SEQUENTIAL)


def test_the_sequential_list_can_be_empty() -> None:
    assert split_entries(HEAD + PARALLEL) == (PARALLEL, "")
