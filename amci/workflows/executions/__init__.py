"""Executions: from a request, step by step, to a result file in raw/."""
