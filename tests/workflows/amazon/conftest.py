from ..amc.conftest import amc, client, clock, connect, pauses, tenant

__all__ = ["amc", "client", "clock", "connect", "pauses", "tenant"]
