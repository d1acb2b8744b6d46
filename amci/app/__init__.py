"""Puts the packages together: opens a workspace, reads its project, runs its engine."""
