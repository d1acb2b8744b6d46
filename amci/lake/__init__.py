"""WHAT ARRIVED: raw files become rows that can be queried, exactly once."""
