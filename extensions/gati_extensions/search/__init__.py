"""search: what the registry holds is found, by everybody who may pull it."""
