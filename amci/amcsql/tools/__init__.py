"""`amci sql …`: what people do with queries on this machine."""
