-- Times are milliseconds since the epoch, UTC. JSON is compact, with sorted keys.

-- One row for each repository that holds artifacts: what a list shows without looking further. `latest` is the highest
-- released version that is published, else the newest tag.
CREATE TABLE kinds_repository (
    name        TEXT COLLATE "C" PRIMARY KEY,
    kind        TEXT COLLATE "C" NOT NULL,
    latest      TEXT NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    stars       BIGINT NOT NULL DEFAULT 0,
    ratings     BIGINT NOT NULL DEFAULT 0,
    rated       BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- What a manifest is. `facts` is JSON; `content` is equal where the layers are.
CREATE TABLE kinds_artifact (
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    media_type TEXT NOT NULL,
    subject    TEXT,
    size       BIGINT NOT NULL,
    content    TEXT COLLATE "C" NOT NULL,
    facts      TEXT NOT NULL,
    pushed_at  BIGINT NOT NULL,
    pushed_by  TEXT,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX kinds_artifact_content ON kinds_artifact (content, repository) WHERE content <> '';

-- Tags. Of a version (a tag that is one) `version_key` sorts by precedence; other tags are channels, with NULL.
-- `release_key` is the same for releases, NULL for prereleases.
CREATE TABLE kinds_tag (
    repository  TEXT COLLATE "C" NOT NULL,
    tag         TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    version_key TEXT COLLATE "C",
    release_key TEXT COLLATE "C",
    moved_at    BIGINT NOT NULL,
    PRIMARY KEY (repository, tag)
);
CREATE INDEX kinds_tag_version ON kinds_tag (repository, version_key) WHERE version_key IS NOT NULL;
CREATE INDEX kinds_tag_digest ON kinds_tag (repository, digest);
CREATE INDEX kinds_tag_release ON kinds_tag (repository, release_key) WHERE release_key IS NOT NULL;
CREATE INDEX kinds_tag_moved ON kinds_tag (repository, moved_at);

-- Every move of a tag, for ever: `before` and `after` are digests, NULL where there was, or is, none.
CREATE TABLE kinds_move (
    repository TEXT COLLATE "C" NOT NULL,
    tag        TEXT COLLATE "C" NOT NULL,
    moved_at   BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    before     TEXT,
    after      TEXT,
    actor      TEXT,
    PRIMARY KEY (repository, tag, number)
);

-- State and overlay of a version (by its tag). Each state is a JSON object or NULL; several may hold.
CREATE TABLE kinds_standing (
    repository  TEXT COLLATE "C" NOT NULL,
    tag         TEXT COLLATE "C" NOT NULL,
    unpublished TEXT,
    deprecated  TEXT,
    yanked      TEXT,
    archived    TEXT,
    overlay     TEXT NOT NULL DEFAULT '{}',
    revision    BIGINT NOT NULL DEFAULT 0,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (repository, tag)
);

CREATE TABLE kinds_overlay (
    repository TEXT COLLATE "C" NOT NULL,
    tag        TEXT COLLATE "C" NOT NULL,
    revision   BIGINT NOT NULL,
    overlay    TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    actor      TEXT,
    PRIMARY KEY (repository, tag, revision)
);

CREATE TABLE kinds_star (
    repository TEXT COLLATE "C" NOT NULL,
    account    BIGINT NOT NULL,
    starred_at BIGINT NOT NULL,
    PRIMARY KEY (repository, account)
);

CREATE TABLE kinds_rating (
    repository TEXT COLLATE "C" NOT NULL,
    account    BIGINT NOT NULL,
    author     TEXT NOT NULL,
    stars      BIGINT NOT NULL,
    review     TEXT NOT NULL,
    rated_at   BIGINT NOT NULL,
    PRIMARY KEY (repository, account)
);

-- Schemas of custom metadata, and the values of their indexed fields.
CREATE TABLE kinds_schema (
    id         TEXT COLLATE "C" PRIMARY KEY,
    namespace  TEXT COLLATE "C" NOT NULL,
    body       TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE kinds_value (
    schema     TEXT COLLATE "C" NOT NULL,
    path       TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    tag        TEXT COLLATE "C" NOT NULL,
    word       TEXT COLLATE "C" NOT NULL,
    number     DOUBLE PRECISION,
    PRIMARY KEY (repository, tag, schema, path, word)
);
CREATE INDEX kinds_value_word ON kinds_value (schema, path, word);
CREATE INDEX kinds_value_number ON kinds_value (schema, path, number) WHERE number IS NOT NULL;

-- Tells caches of verdicts that a state was changed.
CREATE TABLE kinds_revision (
    name   TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO kinds_revision VALUES ('states', 1);
