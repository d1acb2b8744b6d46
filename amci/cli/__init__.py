"""The `amci` command: one file for each group of commands; parse, call, print."""
