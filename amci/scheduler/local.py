"""Local time: the moment at which the clocks of a zone first show a label."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def first_moment(label: datetime, zone: ZoneInfo) -> datetime | None:
    """When the clocks of `zone` first show `label` (naive): aware, in UTC; None where they skip it in spring."""
    moment = label.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == label else None
