"""Waiting after failures: what every kind of second factor has in common."""

from __future__ import annotations

from django.utils import timezone
from django_otp.models import ThrottlingMixin

# Waiting doubles with every failure, 1 s, 2 s, 4 s …, up to this. Three codes of a million are good at a
# time: at 96 attempts a day a guesser needs six years for even odds, and the owner never waits longer.
LONGEST_DELAY_S = 900
# Beyond this nothing changes any more; it keeps 2^n within what a float holds.
MOST_FAILURES = 500


class Throttle(ThrottlingMixin):
    """Counts failures in a row. A person's attempts are all counted on one factor (`attempts.attempt`)."""

    class Meta:
        abstract = True

    def throttle_increment(self, commit: bool = True) -> None:  # noqa: FBT001 (django-otp's signature)
        """Count a failure: the next attempt counts only after a pause."""
        self.throttling_failure_timestamp = timezone.now()
        self.throttling_failure_count = min(self.throttling_failure_count + 1, MOST_FAILURES)
        if commit:
            self._save_throttle()

    def throttle_reset(self, commit: bool = True) -> None:  # noqa: FBT001 (django-otp's signature)
        """Forget the failures: an attempt was accepted."""
        super().throttle_reset(commit=False)  # type: ignore[no-untyped-call]
        if commit:
            # Only these fields: the rest of this instance may be older than the row.
            self._save_throttle()

    def get_throttle_factor(self) -> float:
        """What django-otp multiplies by 2^(failures - 1) seconds, so that the product stays in the limit."""
        doublings = max(self.throttling_failure_count - 1, 0)
        return float(min(1.0, LONGEST_DELAY_S / 2**doublings))

    def _save_throttle(self) -> None:
        self.save(update_fields=["throttling_failure_count", "throttling_failure_timestamp"])
