"""Packs: a folder as one archive whose digest is the same everywhere, and back, safely."""
