"""Applications that use artifacts: `gati.json` (what they ask for), `gati.lock` (what that came to), `gati_modules`."""
