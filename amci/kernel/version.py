"""The version of amci."""

__version__ = "0.1.0"
