"""Reads documents of "Amazon Marketing Cloud Insights on AWS" and turns them into amci's own form."""
