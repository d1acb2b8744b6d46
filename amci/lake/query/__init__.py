"""Read-only sessions over the lake, and what they answer."""
