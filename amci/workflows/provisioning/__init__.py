"""Checks that everything is there that a tenant needs, in AMC and here."""
