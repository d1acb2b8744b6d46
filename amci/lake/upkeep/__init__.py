"""Keeps the lake in order: compaction, expiry, vacuum, checks, publishing, purging."""
