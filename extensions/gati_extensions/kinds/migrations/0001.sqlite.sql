-- Times are milliseconds since the epoch, UTC. JSON is compact, with sorted keys.

-- One row for each repository that holds artifacts: what a list shows without looking further. `latest` is the highest
-- released version that is published, else the newest tag.
CREATE TABLE kinds_repository (
    name        TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    latest      TEXT NOT NULL,
    digest      TEXT NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    stars       INTEGER NOT NULL DEFAULT 0,
    ratings     INTEGER NOT NULL DEFAULT 0,
    rated       INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a manifest is. `facts` is JSON; `content` is equal where the layers are.
CREATE TABLE kinds_artifact (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    subject    TEXT,
    size       INTEGER NOT NULL,
    content    TEXT NOT NULL,
    facts      TEXT NOT NULL,
    pushed_at  INTEGER NOT NULL,
    pushed_by  TEXT,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX kinds_artifact_content ON kinds_artifact (content, repository) WHERE content <> '';

-- Tags. Of a version (a tag that is one) `version_key` sorts by precedence; other tags are channels, with NULL.
-- `release_key` is the same for releases, NULL for prereleases.
CREATE TABLE kinds_tag (
    repository  TEXT NOT NULL,
    tag         TEXT NOT NULL,
    digest      TEXT NOT NULL,
    version_key TEXT,
    release_key TEXT,
    moved_at    INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX kinds_tag_version ON kinds_tag (repository, version_key) WHERE version_key IS NOT NULL;
CREATE INDEX kinds_tag_digest ON kinds_tag (repository, digest);
CREATE INDEX kinds_tag_release ON kinds_tag (repository, release_key) WHERE release_key IS NOT NULL;
CREATE INDEX kinds_tag_moved ON kinds_tag (repository, moved_at);

-- Every move of a tag, for ever: `before` and `after` are digests, NULL where there was, or is, none.
CREATE TABLE kinds_move (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    moved_at   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    before     TEXT,
    after      TEXT,
    actor      TEXT,
    PRIMARY KEY (repository, tag, number)
) STRICT, WITHOUT ROWID;

-- State and overlay of a version (by its tag). Each state is a JSON object or NULL; several may hold.
CREATE TABLE kinds_standing (
    repository  TEXT NOT NULL,
    tag         TEXT NOT NULL,
    unpublished TEXT,
    deprecated  TEXT,
    yanked      TEXT,
    archived    TEXT,
    overlay     TEXT NOT NULL DEFAULT '{}',
    revision    INTEGER NOT NULL DEFAULT 0,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds_overlay (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    overlay    TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    actor      TEXT,
    PRIMARY KEY (repository, tag, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds_star (
    repository TEXT NOT NULL,
    account    INTEGER NOT NULL,
    starred_at INTEGER NOT NULL,
    PRIMARY KEY (repository, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds_rating (
    repository TEXT NOT NULL,
    account    INTEGER NOT NULL,
    author     TEXT NOT NULL,
    stars      INTEGER NOT NULL,
    review     TEXT NOT NULL,
    rated_at   INTEGER NOT NULL,
    PRIMARY KEY (repository, account)
) STRICT, WITHOUT ROWID;

-- Schemas of custom metadata, and the values of their indexed fields.
CREATE TABLE kinds_schema (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL,
    body       TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds_value (
    schema     TEXT NOT NULL,
    path       TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    word       TEXT NOT NULL,
    number     REAL,
    PRIMARY KEY (repository, tag, schema, path, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX kinds_value_word ON kinds_value (schema, path, word);
CREATE INDEX kinds_value_number ON kinds_value (schema, path, number) WHERE number IS NOT NULL;

-- Tells caches of verdicts that a state was changed.
CREATE TABLE kinds_revision (
    name   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO kinds_revision VALUES ('states', 1);
