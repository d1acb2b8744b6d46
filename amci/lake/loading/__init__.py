"""From an object to rows in the lake: light stage, types, quality, commit."""
