"""The Gati client SDK."""
