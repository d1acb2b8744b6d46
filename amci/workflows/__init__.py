"""WHAT TO ASK: AMC workflows and their executions."""
