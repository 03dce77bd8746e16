"""Every setting of the server, and how its value is found.

A value comes from the first of: flag, environment, TOML file, default. What is not known stops the start: a misspelt
setting that is silently ignored is a setting that the operator believes in.

    GATI_LISTEN=0.0.0.0:5000          listen = "0.0.0.0:5000"
    GATI_GC__GRACE=3600               [gc]
                                      grace = 3600

`docs/settings.md` is written from these modules by `gati-registry settings --output markdown`.
"""

from gati_registry.settings.loading import (
    Loaded,
    Models,
    Setting,
    catalogue,
    load,
    sections,
    show,
    variable_of,
)
from gati_registry.settings.model import (
    S3,
    Blobs,
    Encryption,
    Gc,
    Log,
    Manifests,
    Paging,
    Postgresql,
    S3Bucket,
    Settings,
    SettingsError,
    Telemetry,
    Uploads,
    is_loopback,
)

__all__ = [
    "S3",
    "Blobs",
    "Encryption",
    "Gc",
    "Loaded",
    "Log",
    "Manifests",
    "Models",
    "Paging",
    "Postgresql",
    "S3Bucket",
    "Setting",
    "Settings",
    "SettingsError",
    "Telemetry",
    "Uploads",
    "catalogue",
    "is_loopback",
    "load",
    "sections",
    "show",
    "variable_of",
]
