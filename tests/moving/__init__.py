"""Moving a registry, backing it up, bringing it back: by the commands, beside real servers."""
