"""Workflow files: what they say, how they are checked, and how AMC is brought in step with them."""
