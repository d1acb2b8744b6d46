"""Datasets: which keys belong together, how they are read, and which tables they become."""
