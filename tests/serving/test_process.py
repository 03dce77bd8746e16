"""What a process sets up before it serves."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_big_buffers_come_from_the_heap() -> None:
    program = """
import ctypes, pathlib, sys
from gati_registry.serving.process import tune_allocator

def on_heap():
    buffer = ctypes.create_string_buffer(8 << 20)
    heap = next(line for line in pathlib.Path("/proc/self/maps").read_text().splitlines() if "[heap]" in line)
    start, end = (int(edge, 16) for edge in heap.split()[0].split("-"))
    return start <= ctypes.addressof(buffer) < end

before = on_heap()
tune_allocator()
sys.exit(0 if (before, on_heap()) == (False, True) else 1)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_descriptors_that_the_system_grants_are_taken() -> None:
    program = """
import resource
from gati_registry.serving.process import raise_descriptor_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
raise_descriptor_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
