"""The schedules that AMC itself keeps, and the data sources there are (amc-api 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.workflows.amc.client_base import AmcClientBase, segment


class Schedules(AmcClientBase):
    """What the reporting API has beside workflows and executions."""

    def schedules(self) -> list[dict[str, Any]]:
        """AMC's own schedules, as AMC spells them."""
        return self._reported("schedules", "scheduleId")

    def schedule(self, schedule_id: str) -> dict[str, Any] | None:
        """One schedule, as AMC spells it; None if there is none."""
        return self._one(self._schedule(schedule_id), "schedule")

    def create_schedule(self, definition: Mapping[str, Any]) -> None:
        """Create a schedule; Refused if there is one. Sent once."""
        self._call("POST", self._reporting("/schedules"), body=definition, is_repeatable=False)

    def update_schedule(self, definition: Mapping[str, Any]) -> None:
        """Change a schedule; Refused(404) if there is none."""
        self._call("PUT", self._schedule(definition["scheduleId"]), body=definition)

    def delete_schedule(self, schedule_id: str) -> bool:
        """Delete a schedule; False if there was none."""
        return self._found("DELETE", self._schedule(schedule_id)) is not None

    def data_sources(self) -> list[dict[str, Any]]:
        """The tables one can ask, with their columns, as AMC spells them."""
        return self._reported("dataSources", "dataSourceId")

    def data_source(self, data_source_id: str) -> dict[str, Any] | None:
        """One table with its columns, as AMC spells it; None if there is none."""
        return self._one(self._reporting(f"/dataSources/{segment(data_source_id)}"), "dataSource")

    def _schedule(self, schedule_id: str) -> str:
        return self._reporting(f"/schedules/{segment(schedule_id)}")
