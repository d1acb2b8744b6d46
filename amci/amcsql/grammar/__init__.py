"""The grammar of AMC SQL: what it has, what it refuses and in which words, and how it is laid out (amc-api 3.1)."""
