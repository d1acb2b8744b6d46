"""Audiences: what a command asks for, as AMC takes it."""
