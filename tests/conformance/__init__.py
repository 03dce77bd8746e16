"""Tests of the conformance suite, and of our server by it."""
