"""Java's regular expressions, and what they are in RE2 and in Python (amc-api 3.2)."""
