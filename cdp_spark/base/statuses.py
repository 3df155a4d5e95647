"""Values of the column ``status``, and their index in ``STATUSES``."""

from __future__ import annotations

STATUSES = ("clustered", "singleton", "discarded", "unlabelled", "forced")
CLUSTERED, SINGLETON, DISCARDED, UNLABELLED, FORCED = range(5)
