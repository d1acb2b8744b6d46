"""Notices about runs for people and programs: by webhook, by e-mail, in a file, on the console."""
