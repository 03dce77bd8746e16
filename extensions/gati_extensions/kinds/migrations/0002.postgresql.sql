-- Downloads of a version on a day (UTC, YYYY-MM-DD), and of a repository in all.
CREATE TABLE kinds_download (
    repository TEXT COLLATE "C" NOT NULL,
    day        TEXT COLLATE "C" NOT NULL,
    version    TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL,
    PRIMARY KEY (repository, day, version)
);

CREATE TABLE kinds_popularity (
    repository TEXT COLLATE "C" PRIMARY KEY,
    downloads  BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX kinds_popularity_changed ON kinds_popularity (changed_at, repository);

-- Who has pulled what in this hour: hashes by a key of that hour.
CREATE TABLE kinds_seen (
    hour   BIGINT NOT NULL,
    client BYTEA NOT NULL,
    PRIMARY KEY (hour, client)
);
