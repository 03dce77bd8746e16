-- Downloads of a version on a day (UTC, YYYY-MM-DD), and of a repository in all.
CREATE TABLE kinds_download (
    repository TEXT NOT NULL,
    day        TEXT NOT NULL,
    version    TEXT NOT NULL,
    number     INTEGER NOT NULL,
    PRIMARY KEY (repository, day, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds_popularity (
    repository TEXT PRIMARY KEY,
    downloads  INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kinds_popularity_changed ON kinds_popularity (changed_at, repository);

-- Who has pulled what in this hour: hashes by a key of that hour.
CREATE TABLE kinds_seen (
    hour   INTEGER NOT NULL,
    client BLOB NOT NULL,
    PRIMARY KEY (hour, client)
) STRICT, WITHOUT ROWID;
