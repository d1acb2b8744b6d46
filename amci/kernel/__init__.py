"""What knows no domain: runs and their worker, state, configuration, files, time, errors, names, log, notices."""
