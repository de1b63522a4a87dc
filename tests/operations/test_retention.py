"""Which backups go: whatever there is and whatever the policy says."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from deployctl.operations.backup.retention import KeptBackup, Policy, Trust, decide

NOW = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)
NOTHING_KEPT = Policy(keep_days=1, daily=0, weekly=0, monthly=0)


def taken(days_ago: float, trust: str = "hashed") -> KeptBackup:
    at = NOW - dt.timedelta(days=days_ago)
    return KeptBackup(f"shop-{days_ago}", at, trust, 10, "0" * 64)


AGES = st.floats(min_value=-2, max_value=1500, allow_nan=False)
BACKUPS = st.lists(
    st.builds(taken, AGES, st.sampled_from(tuple(Trust))), max_size=40, unique_by=lambda backup: backup.name
)
POLICIES = st.builds(Policy, st.integers(1, 400), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


def gone(backups: list[KeptBackup], policy: Policy) -> set[str]:
    return {verdict.backup.name for verdict in decide(backups, policy, now=NOW) if verdict.is_deleted}


@given(BACKUPS, POLICIES)
def test_the_newest_and_the_newest_proven_one_never_go(backups: list[KeptBackup], policy: Policy) -> None:
    going = gone(backups, policy)

    for trusts in (tuple(Trust), ("proven",)):
        candidates = [backup for backup in backups if backup.trust in trusts]
        if candidates:
            newest = max(backup.snapshot_at for backup in candidates)
            assert any(b.name not in going for b in candidates if b.snapshot_at == newest)


@given(BACKUPS, POLICIES)
def test_every_backup_gets_one_verdict_with_a_reason_newest_first(
    backups: list[KeptBackup], policy: Policy
) -> None:
    verdicts = decide(backups, policy, now=NOW)

    assert sorted(v.backup.name for v in verdicts) == sorted(backup.name for backup in backups)
    assert all(verdict.why for verdict in verdicts)
    times = [verdict.backup.snapshot_at for verdict in verdicts]
    assert times == sorted(times, reverse=True)


@given(BACKUPS, POLICIES)
def test_nothing_younger_than_the_days_goes(backups: list[KeptBackup], policy: Policy) -> None:
    limit = NOW - dt.timedelta(days=policy.keep_days)

    assert not gone([b for b in backups if b.snapshot_at > limit], policy)


@given(BACKUPS, POLICIES)
def test_what_is_left_after_expiring_stays(backups: list[KeptBackup], policy: Policy) -> None:
    """Deciding twice removes nothing more, so a repeated run is harmless."""
    going = gone(backups, policy)

    assert not gone([backup for backup in backups if backup.name not in going], policy)


@given(BACKUPS, POLICIES, st.sampled_from(["keep_days", "daily", "weekly", "monthly"]))
def test_a_policy_that_keeps_more_removes_no_more(
    backups: list[KeptBackup], policy: Policy, field: str
) -> None:
    more = Policy(**{**vars(policy), field: getattr(policy, field) + 1})

    assert gone(backups, more) <= gone(backups, policy)


@given(BACKUPS, POLICIES, st.randoms())
def test_the_order_in_which_they_are_given_does_not_matter(
    backups: list[KeptBackup], policy: Policy, random: object
) -> None:
    shuffled = list(backups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert gone(shuffled, policy) == gone(backups, policy)


def test_by_default_thirty_days_are_kept() -> None:
    backups = [taken(days) for days in (0, 1, 29.9, 30.1, 31.1, 500)]
    verdicts = decide(backups, Policy(daily=0, weekly=0, monthly=0), now=NOW)

    assert [verdict.is_deleted for verdict in verdicts] == [False, False, False, True, True, True]
    assert verdicts[3].why == "older than 30 days, and no day, week or month is kept by it"


def test_days_weeks_and_months_keep_their_newest_one() -> None:
    # 31, 30 and 29 March 2026 are Tuesday, Monday and Sunday: two ISO weeks.
    backups = [taken(days) for days in (0, 0.1, 1, 1.2, 2, 40, 41, 70)]

    assert gone(backups, Policy(keep_days=1, daily=2, weekly=0, monthly=0)) == {
        "shop-1.2", "shop-2", "shop-40", "shop-41", "shop-70",
    }  # fmt: skip
    kept_by_week = Policy(keep_days=1, daily=0, weekly=2, monthly=0)
    assert gone(backups, kept_by_week) == {"shop-1", "shop-1.2", "shop-40", "shop-41", "shop-70"}
    kept_by_month = Policy(keep_days=1, daily=0, weekly=0, monthly=3)
    assert gone(backups, kept_by_month) == {"shop-1", "shop-1.2", "shop-2", "shop-41"}


def test_time_without_backups_uses_nothing_up() -> None:
    backups = [taken(days) for days in (400, 500, 600)]

    assert gone(backups, Policy(keep_days=1, daily=2, weekly=0, monthly=0)) == {"shop-600"}


def test_an_old_proven_one_outlives_newer_unproven_ones() -> None:
    backups = [taken(0), taken(50), taken(90, "proven"), taken(100, "proven")]
    verdicts = {v.backup.name: v for v in decide(backups, NOTHING_KEPT, now=NOW)}

    assert verdicts["shop-90"].why == "the newest proven one"
    assert verdicts["shop-0"].why.startswith("the newest one")
    assert verdicts["shop-50"].is_deleted
    assert verdicts["shop-100"].is_deleted


def test_the_default_policy() -> None:
    assert Policy() == Policy(keep_days=30, daily=7, weekly=4, monthly=3)


def test_the_same_month_of_another_year_is_another_month() -> None:
    monthly = Policy(keep_days=1, daily=0, weekly=0, monthly=2)
    assert gone([taken(10), taken(10 + 365), taken(11 + 365)], monthly) == {f"shop-{11 + 365}"}


def test_of_two_backups_of_one_moment_the_later_name_is_the_newest() -> None:
    first, second = (KeptBackup(name, NOW, "hashed", 10, "0" * 64) for name in ("shop-a", "shop-b"))
    for backups in ([first, second], [second, first]):
        decided = decide(backups, NOTHING_KEPT, now=NOW)
        assert [each.backup.name for each in decided] == ["shop-b", "shop-a"]


def test_an_upload_is_kept_by_the_time_of_its_upload() -> None:
    old, recent = NOW - dt.timedelta(days=9), NOW - dt.timedelta(hours=1)
    uploads = [
        KeptBackup("recent", old, "hashed", 10, "0" * 64, uploaded_at=recent),
        KeptBackup("old", recent, "hashed", 10, "0" * 64, uploaded_at=old),
    ]
    assert gone([*uploads, taken(0)], NOTHING_KEPT) == {"old"}
