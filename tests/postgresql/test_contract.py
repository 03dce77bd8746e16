"""The contract of the database, run over PostgreSQL."""

from __future__ import annotations

import pytest

from tests.core.contract_garbage import GarbageContract
from tests.core.contract_metadata import TransactionsContract
from tests.core.contract_rows import RowsContract

pytestmark = pytest.mark.anyio


class TestRows(RowsContract, GarbageContract):
    """Its rows."""


class TestTransactions(TransactionsContract):
    """Its transactions."""
