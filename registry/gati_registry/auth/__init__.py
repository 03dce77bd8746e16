"""Floor 4: who is asking, and whether they may, before any identity extension is there."""
