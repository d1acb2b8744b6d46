"""The transforms that come with amci."""
