"""The throttling of failed attempts, for all kinds of second factors."""

from __future__ import annotations

from django.utils import timezone
from django_otp.models import ThrottlingMixin

# The delay doubles with every failure (1 s, 2 s, 4 s …) up to this limit. Three of a million codes are valid
# at any time: with 96 attempts a day, an attacker needs six years for a 50 % chance.
MAX_DELAY_S = 900
# The counter stops here, which keeps 2^n within the range of a float.
MAX_FAILURES = 500


class Throttle(ThrottlingMixin):
    """A counter of consecutive failures. A person's failures are all counted in one row, see `attempts`."""

    class Meta:
        abstract = True

    def throttle_increment(self, commit: bool = True) -> None:  # noqa: FBT001 (django-otp's signature)
        """Count a failure and delay the next attempt."""
        self.throttling_failure_timestamp = timezone.now()
        self.throttling_failure_count = min(self.throttling_failure_count + 1, MAX_FAILURES)
        if commit:
            self._save_throttle()

    def throttle_reset(self, commit: bool = True) -> None:  # noqa: FBT001 (django-otp's signature)
        """Reset the failures after an accepted attempt."""
        super().throttle_reset(commit=False)  # type: ignore[no-untyped-call]
        if commit:
            # Only these fields, because the other values of this instance can be outdated.
            self._save_throttle()

    def get_throttle_factor(self) -> float:
        """Return the factor by which django-otp multiplies 2^(failures - 1) seconds, to enforce the limit."""
        doublings = max(self.throttling_failure_count - 1, 0)
        return float(min(1.0, MAX_DELAY_S / 2**doublings))

    def _save_throttle(self) -> None:
        self.save(update_fields=["throttling_failure_count", "throttling_failure_timestamp"])
