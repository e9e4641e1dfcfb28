"""The data sets that some of these tests read."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of `$LACONIC_DATA`; a test that asks for it is skipped without the variable."""
    folder = os.environ.get("LACONIC_DATA")
    if not folder:
        pytest.skip("LACONIC_DATA is not set, so there are no data sets to read")
    return Path(folder)
