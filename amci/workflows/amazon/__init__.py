"""HTTP to any Amazon API: login, sender, retries, limits, circuit breaker, transports, recordings."""
