"""All families of tables of the world."""

from __future__ import annotations

from amci.sandbox.data.core import CORE
from amci.sandbox.data.paid import PAID

#: In the order in which they are made.
FAMILIES = (*PAID, *CORE)
