"""The retention policy, with generated backups and policies."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from deployctl.operations.backup.retention import KeptBackup, Policy, Trust, decide

NOW = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)
KEEP_NOTHING = Policy(keep_days=1, daily=0, weekly=0, monthly=0)


def taken(days_ago: float, trust: str = "hashed") -> KeptBackup:
    at = NOW - dt.timedelta(days=days_ago)
    return KeptBackup(f"shop-{days_ago}", at, trust, 10, "0" * 64)


AGES = st.floats(min_value=-2, max_value=1500, allow_nan=False)
BACKUPS = st.lists(
    st.builds(taken, AGES, st.sampled_from(tuple(Trust))), max_size=40, unique_by=lambda backup: backup.name
)
POLICIES = st.builds(Policy, st.integers(1, 400), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


def deleted(backups: list[KeptBackup], policy: Policy) -> set[str]:
    return {decision.backup.name for decision in decide(backups, policy, now=NOW) if decision.is_deleted}


@given(BACKUPS, POLICIES)
def test_the_newest_and_the_newest_proven_backup_are_kept(backups: list[KeptBackup], policy: Policy) -> None:
    names = deleted(backups, policy)

    for trusts in (tuple(Trust), ("proven",)):
        candidates = [backup for backup in backups if backup.trust in trusts]
        if candidates:
            newest = max(backup.snapshot_at for backup in candidates)
            assert any(b.name not in names for b in candidates if b.snapshot_at == newest)


@given(BACKUPS, POLICIES)
def test_every_backup_gets_a_decision_newest_first(backups: list[KeptBackup], policy: Policy) -> None:
    decisions = decide(backups, policy, now=NOW)

    assert sorted(v.backup.name for v in decisions) == sorted(backup.name for backup in backups)
    assert all(decision.why for decision in decisions)
    times = [decision.backup.snapshot_at for decision in decisions]
    assert times == sorted(times, reverse=True)


@given(BACKUPS, POLICIES)
def test_backups_younger_than_the_limit_are_kept(backups: list[KeptBackup], policy: Policy) -> None:
    limit = NOW - dt.timedelta(days=policy.keep_days)

    assert not deleted([b for b in backups if b.snapshot_at > limit], policy)


@given(BACKUPS, POLICIES)
def test_a_second_decision_deletes_nothing_more(backups: list[KeptBackup], policy: Policy) -> None:
    names = deleted(backups, policy)

    assert not deleted([backup for backup in backups if backup.name not in names], policy)


@given(BACKUPS, POLICIES, st.sampled_from(["keep_days", "daily", "weekly", "monthly"]))
def test_a_more_generous_policy_never_deletes_more(
    backups: list[KeptBackup], policy: Policy, field: str
) -> None:
    more = Policy(**{**vars(policy), field: getattr(policy, field) + 1})

    assert deleted(backups, more) <= deleted(backups, policy)


@given(BACKUPS, POLICIES, st.randoms())
def test_the_order_of_the_backups_does_not_matter(
    backups: list[KeptBackup], policy: Policy, random: object
) -> None:
    shuffled = list(backups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert deleted(shuffled, policy) == deleted(backups, policy)


def test_backups_of_thirty_days_are_kept_by_default() -> None:
    backups = [taken(days) for days in (0, 1, 29.9, 30.1, 31.1, 500)]
    decisions = decide(backups, Policy(daily=0, weekly=0, monthly=0), now=NOW)

    assert [decision.is_deleted for decision in decisions] == [False, False, False, True, True, True]
    assert decisions[3].why == "older than 30 days, and not the newest of a kept day, week or month"


def test_the_newest_backup_of_each_day_week_and_month_is_kept() -> None:
    # 31, 30 and 29 March 2026 are Tuesday, Monday and Sunday: two ISO weeks.
    backups = [taken(days) for days in (0, 0.1, 1, 1.2, 2, 40, 41, 70)]

    assert deleted(backups, Policy(keep_days=1, daily=2, weekly=0, monthly=0)) == {
        "shop-1.2", "shop-2", "shop-40", "shop-41", "shop-70",
    }  # fmt: skip
    kept_by_week = Policy(keep_days=1, daily=0, weekly=2, monthly=0)
    assert deleted(backups, kept_by_week) == {"shop-1", "shop-1.2", "shop-40", "shop-41", "shop-70"}
    kept_by_month = Policy(keep_days=1, daily=0, weekly=0, monthly=3)
    assert deleted(backups, kept_by_month) == {"shop-1", "shop-1.2", "shop-2", "shop-41"}


def test_periods_without_backups_do_not_count() -> None:
    backups = [taken(days) for days in (400, 500, 600)]

    assert deleted(backups, Policy(keep_days=1, daily=2, weekly=0, monthly=0)) == {"shop-600"}


def test_an_old_proven_backup_outlives_newer_unproven_ones() -> None:
    backups = [taken(0), taken(50), taken(90, "proven"), taken(100, "proven")]
    decisions = {v.backup.name: v for v in decide(backups, KEEP_NOTHING, now=NOW)}

    assert decisions["shop-90"].why == "newest proven backup"
    assert decisions["shop-0"].why.startswith("newest backup")
    assert decisions["shop-50"].is_deleted
    assert decisions["shop-100"].is_deleted


def test_the_default_policy() -> None:
    assert Policy() == Policy(keep_days=30, daily=7, weekly=4, monthly=3)


def test_the_same_month_of_another_year_is_another_month() -> None:
    monthly = Policy(keep_days=1, daily=0, weekly=0, monthly=2)
    assert deleted([taken(10), taken(10 + 365), taken(11 + 365)], monthly) == {f"shop-{11 + 365}"}


def test_of_two_backups_of_one_moment_the_later_name_is_the_newest() -> None:
    first, second = (KeptBackup(name, NOW, "hashed", 10, "0" * 64) for name in ("shop-a", "shop-b"))
    for backups in ([first, second], [second, first]):
        decided = decide(backups, KEEP_NOTHING, now=NOW)
        assert [each.backup.name for each in decided] == ["shop-b", "shop-a"]


def test_an_upload_is_kept_by_the_time_of_its_upload() -> None:
    old, recent = NOW - dt.timedelta(days=9), NOW - dt.timedelta(hours=1)
    uploads = [
        KeptBackup("recent", old, "hashed", 10, "0" * 64, uploaded_at=recent),
        KeptBackup("old", recent, "hashed", 10, "0" * 64, uploaded_at=old),
    ]
    assert deleted([*uploads, taken(0)], KEEP_NOTHING) == {"old"}
