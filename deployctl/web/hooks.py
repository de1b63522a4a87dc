"""The hook of live pages."""

from __future__ import annotations

from typing import Any

from deployctl.hooks import Hook

channel_permission: Hook[[Any, str, str], bool] = Hook("channel_permission", on_error="raise")
"""Return True if a user may watch a channel: `(user, kind, key)`, such as `run` and `3` for `run:3`.

Called in a thread. A handler returns False for kinds of other packages; nobody may watch a channel for which
every handler returns False. `key` is "" for a channel without a colon.
"""
