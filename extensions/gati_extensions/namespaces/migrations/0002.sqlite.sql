-- Pushes at once must not wait for each other's commit, so none of them changes a row that all of them need.

-- Parts of a namespace's usage that are set aside: `namespaces_usage` counts them as used, a push takes its share out of
-- one that nobody else is using. What is really used is the usage less all of these.
CREATE TABLE namespaces_spare (
    path      TEXT NOT NULL,
    slot      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    artifacts INTEGER NOT NULL,
    PRIMARY KEY (path, slot)
) STRICT, WITHOUT ROWID;

-- What was added to a repository (or taken out of it); with what `namespaces_repository` says, what it holds.
CREATE TABLE namespaces_held (
    name  TEXT NOT NULL,
    slot  INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (name, slot)
) STRICT, WITHOUT ROWID;

-- Whether the repository counts as an artifact: 1 from its first manifest to its last. `manifests` is not used any more.
ALTER TABLE namespaces_repository ADD COLUMN artifact INTEGER NOT NULL DEFAULT 0;
UPDATE namespaces_repository SET artifact = 1 WHERE manifests > 0;
