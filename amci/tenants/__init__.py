"""WHO: the advertisers whose results arrive here."""
