"""The guide to extensions names all that there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import gati_registry.extension as contract
from gati_registry.domain.events import Operation

GUIDE = (Path(__file__).parents[2] / "docs" / "extensions.md").read_text(encoding="utf-8")


def test_every_part_of_the_contract_is_described() -> None:
    for model in (contract.Extension, contract.Contribution, contract.Kernel):
        for field in fields(model):
            assert f"`{field.name}`" in GUIDE, f"{model.__name__}.{field.name}"
    for operation in Operation:
        assert f"`{operation.value}`" in GUIDE


def test_the_public_face_is_whole() -> None:
    """Whatever stands in the module for others' use is in `__all__`, and the other way round."""
    own = {
        name
        for name, value in vars(contract).items()
        if not name.startswith("_")
        and name != "T"
        and getattr(value, "__module__", "").startswith("gati_registry")
        and not value.__module__.startswith("gati_registry.values")
    }
    assert own - set(contract.__all__) == set()
    assert all(hasattr(contract, name) for name in contract.__all__)
