"""Invented Amazon files for `amci demo` and the tests: the same seed gives the same bytes.

Tenants, campaigns, shops and figures are made up. Keys and shapes follow the public guides to AMC result
files, Amazon Ads version 3 reports and Selling Partner Sales and Traffic reports.
"""

from amci.app.samples.deliveries import first_delivery, second_delivery
from amci.app.samples.model import Sample, write

__all__ = ["Sample", "first_delivery", "second_delivery", "write"]
