"""Puts the packages together: opens a workspace, reads its project, runs its engine.

`project` reads and checks all of config/. `session` is an opened workspace that any process may have; `engine` is the
one process that works: it holds the lock, watches raw/ and asks the scheduler, and `handlers` says which handler does
which kind of run. `amc_connection` decides who answers for AMC. `workspace` is what programs see of it.
"""
