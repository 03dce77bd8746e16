-- Lists of one kind, wherever its artifacts are.
CREATE INDEX kinds_repository_kind ON kinds_repository (kind, name);
