"""The folder deploy/, tried as far as one machine goes."""
