-- Times are milliseconds since the epoch, UTC. Digests are text, "algorithm:hex". Names, tags and digests sort bytewise.

CREATE TABLE repository (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Bytes live in `data` (small blobs) or in the blob store under `stored_name`, a name that is never used twice.
CREATE TABLE blob (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest         TEXT COLLATE "C" NOT NULL UNIQUE,
    size           BIGINT NOT NULL,
    stored_name    TEXT COLLATE "C" UNIQUE,
    orphaned_at    BIGINT,
    quarantined_at BIGINT,
    created_at     BIGINT NOT NULL,
    data           BYTEA
);
-- Blobs hardly compress: don't try.
ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX blob_orphaned ON blob (orphaned_at) WHERE orphaned_at IS NOT NULL;

-- What makes a blob visible in a repository. `pending_at`: last use while no manifest was known to need it.
CREATE TABLE link (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    blob_id       BIGINT NOT NULL REFERENCES blob (id),
    pending_at    BIGINT,
    condemned_at  BIGINT,
    PRIMARY KEY (repository_id, blob_id)
);
CREATE INDEX link_blob ON link (blob_id);
CREATE INDEX link_pending ON link (repository_id, blob_id, pending_at) WHERE pending_at IS NOT NULL;
CREATE INDEX link_condemned ON link (condemned_at) WHERE condemned_at IS NOT NULL;

-- `descriptor` is how the manifest stands in a list of referrers, encoded once.
CREATE TABLE manifest (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id  BIGINT NOT NULL REFERENCES repository (id),
    digest         TEXT COLLATE "C" NOT NULL,
    media_type     TEXT NOT NULL,
    size           BIGINT NOT NULL,
    subject        TEXT COLLATE "C",
    artifact_type  TEXT,
    descriptor     TEXT,
    quarantined_at BIGINT,
    pushed_at      BIGINT NOT NULL,
    data           BYTEA NOT NULL,
    UNIQUE (repository_id, digest)
);
CREATE INDEX manifest_subject ON manifest (repository_id, subject, digest) WHERE subject IS NOT NULL;

-- All that a manifest refers to, stored here or not. Looked up by digest and by manifest.
CREATE TABLE reference (
    repository_id BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    manifest_id   BIGINT NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
    PRIMARY KEY (repository_id, digest, manifest_id)
);
CREATE INDEX reference_manifest ON reference (manifest_id, digest);

CREATE TABLE tag (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    name          TEXT COLLATE "C" NOT NULL,
    manifest_id   BIGINT NOT NULL REFERENCES manifest (id),
    moved_at      BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name)
);
CREATE INDEX tag_manifest ON tag (manifest_id);

-- Upload sessions that were written to. `received` is the acknowledged offset; `epoch` names the one writer.
-- One that ended stays without its bytes and with no `touched_at` until its id, made at `issued_at`, proves nothing more.
CREATE TABLE upload (
    id         TEXT COLLATE "C" PRIMARY KEY,
    repository TEXT COLLATE "C" NOT NULL,
    algorithm  TEXT NOT NULL,
    issued_at  BIGINT NOT NULL,
    received   BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    staged     TEXT,
    touched_at BIGINT,
    data       BYTEA
);
ALTER TABLE upload ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX upload_repository ON upload (repository) WHERE touched_at IS NOT NULL;
CREATE INDEX upload_touched ON upload (touched_at) WHERE touched_at IS NOT NULL;
CREATE INDEX upload_ended ON upload (issued_at) WHERE touched_at IS NULL;

-- Bytes that no row names any more and that are removed after a grace for readers.
CREATE TABLE trash (
    stored_name TEXT COLLATE "C" PRIMARY KEY,
    size        BIGINT NOT NULL,
    thrown_at   BIGINT NOT NULL
);
CREATE INDEX trash_thrown ON trash (thrown_at);

CREATE TABLE lease (
    name       TEXT COLLATE "C" PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE fact (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);
