"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# On a busy machine an example may take any time: that says nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
