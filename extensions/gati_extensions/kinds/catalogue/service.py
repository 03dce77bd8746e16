"""Services: what runs somewhere, and where."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, facts
from gati_extensions.kinds.kind import Facts, Kind


class Endpoint(Part):
    """Where it answers."""

    url: Short
    protocol: Text = ""
    authentication: Text = ""


class Service(Manifest):
    """The manifest of a service."""

    type: Text = ""
    endpoints: Annotated[list[Endpoint], Field(max_length=MOST)] = Field(default_factory=list)
    image: Text = ""
    ports: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(max_length=MOST)] = Field(default_factory=list)
    api: Any = None


def _describe(found: Service) -> Facts:
    return facts(
        found,
        type=found.type,
        details={"endpoints": [endpoint.model_dump() for endpoint in found.endpoints], "image": found.image},
        words={
            "protocol": tuple(dict.fromkeys(endpoint.protocol for endpoint in found.endpoints if endpoint.protocol))
        },
    )


KIND = Kind.own("service", "Something that runs and answers: endpoints, ports, image.", Service, _describe)
