"""Amazon's marketplaces: their ids, and the region whose hosts serve them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Region = Literal["NA", "EU", "FE"]


@dataclass(frozen=True, slots=True)
class Marketplace:
    """A country's marketplace."""

    marketplace_id: str
    country: str
    region: Region


def _of(region: Region, **ids: str) -> list[Marketplace]:
    return [Marketplace(marketplace_id, country, region) for country, marketplace_id in ids.items()]


#: By id (amc-api 1.3).
MARKETPLACES = MappingProxyType(
    {
        m.marketplace_id: m
        for m in (
            *_of("NA", US="ATVPDKIKX0DER", CA="A2EUQ1WTGCTBG2", MX="A1AM78C64UM0Y8", BR="A2Q3Y263D00KWC"),
            *_of("EU", UK="A1F83G8C2ARO7P", DE="A1PA6795UKMFR9", FR="A13V1IB3VIYZZH", IT="APJ6JRA9NG5V4"),
            *_of("EU", ES="A1RKKUPIHCS9HS", NL="A1805IZSGTT6HS", SE="A2NODRKZP88ZB9", TR="A33AVAJ2PDY3EV"),
            *_of("EU", SA="A17E79C6D8DWNP", AE="A2VIGQ35RCS4UG", IN="A21TJRUUN4KGV"),
            *_of("FE", JP="A1VC38T7YXB528", AU="A39IBJ37TRP1C6"),
        )
    }
)


def nearest(text: str) -> Marketplace | None:
    """The marketplace that was probably meant: by country, or by an id that is nearly the same."""
    for found in MARKETPLACES.values():
        if text.upper() == found.country:
            return found
    near = difflib.get_close_matches(text.upper(), MARKETPLACES, n=1, cutoff=0.8)
    return MARKETPLACES[near[0]] if near else None


def shown(marketplace_id: str) -> str:
    """The id with its country if that is known."""
    found = MARKETPLACES.get(marketplace_id)
    return f"{marketplace_id} ({found.country})" if found else marketplace_id
