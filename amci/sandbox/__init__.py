"""AMC on this machine: its HTTP API, its SQL and events to ask about."""
