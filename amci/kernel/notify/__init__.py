"""Tells people and programs what became of a run: by webhook, by mail, in a file."""
