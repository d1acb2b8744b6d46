"""Synthetic events of a made-up world, for the sandbox to ask about."""
