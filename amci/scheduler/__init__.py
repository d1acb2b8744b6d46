"""WHEN: schedules and the fires they cause."""
