"""Floor 5: the HTTP doors. No business rule lives here."""
