"""Where the index is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gati_registry.settings import SettingsError
from tests.extensions.access.support import configured
from tests.extensions.search.support import EXTENSIONS


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9200", "opensearch://127.0.0.1", "opensearch+http://", "opensearch+http://h:1?x=1",
     "opensearch+https://user:secret@h:1"],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused(folder: Path, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        configured(folder, extensions=EXTENSIONS, search_url=url)
    assert "search_url" in str(caught.value)
    assert "secret" not in str(caught.value)
