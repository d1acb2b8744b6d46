"""From a file in raw/ to an object that amci knows, and the runs that load it."""
