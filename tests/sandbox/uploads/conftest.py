"""What tests of uploads share: an advertiser who uploads."""

from __future__ import annotations

import pytest

from ..calling import Calling
from .uploading import Uploading, Uploads


@pytest.fixture
def uploading(calling: Calling) -> Uploading:
    """Opens sandboxes as `calling` does."""
    return lambda **options: Uploads(calling(**options))


@pytest.fixture
def up(uploading: Uploading) -> Uploads:
    """A sandbox without delays."""
    return uploading()
