-- Times are milliseconds since the epoch, UTC. Digests are text, "algorithm:hex".

CREATE TABLE repository (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Bytes live in `data` (small blobs) or in the blob store under `stored_name`, a name that is never used twice.
CREATE TABLE blob (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    digest         TEXT NOT NULL UNIQUE,
    size           INTEGER NOT NULL,
    stored_name    TEXT UNIQUE,
    orphaned_at    INTEGER,
    quarantined_at INTEGER,
    created_at     INTEGER NOT NULL,
    data           BLOB
) STRICT;
CREATE INDEX blob_orphaned ON blob (orphaned_at) WHERE orphaned_at IS NOT NULL;

-- What makes a blob visible in a repository. `pending_at`: last use while no manifest was known to need it.
CREATE TABLE link (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    blob_id       INTEGER NOT NULL REFERENCES blob (id),
    pending_at    INTEGER,
    condemned_at  INTEGER,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_blob ON link (blob_id);
CREATE INDEX link_pending ON link (repository_id, blob_id, pending_at) WHERE pending_at IS NOT NULL;
CREATE INDEX link_condemned ON link (condemned_at) WHERE condemned_at IS NOT NULL;

-- `descriptor` is how the manifest stands in a list of referrers, encoded once.
CREATE TABLE manifest (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id  INTEGER NOT NULL REFERENCES repository (id),
    digest         TEXT NOT NULL,
    media_type     TEXT NOT NULL,
    size           INTEGER NOT NULL,
    subject        TEXT,
    artifact_type  TEXT,
    descriptor     TEXT,
    quarantined_at INTEGER,
    pushed_at      INTEGER NOT NULL,
    data           BLOB NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifest_subject ON manifest (repository_id, subject, digest) WHERE subject IS NOT NULL;

-- All that a manifest refers to, stored here or not. Looked up by digest and by manifest.
CREATE TABLE reference (
    repository_id INTEGER NOT NULL,
    digest        TEXT NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifest (id) ON DELETE CASCADE,
    PRIMARY KEY (repository_id, digest, manifest_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_manifest ON reference (manifest_id, digest);

CREATE TABLE tag (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    name          TEXT NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifest (id),
    moved_at      INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_manifest ON tag (manifest_id);

-- Upload sessions that were written to. `received` is the acknowledged offset; `epoch` names the one writer.
-- One that ended stays without its bytes and with no `touched_at` until its id, made at `issued_at`, proves nothing more.
CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    issued_at  INTEGER NOT NULL,
    received   INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    staged     TEXT,
    touched_at INTEGER,
    data       BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_repository ON upload (repository) WHERE touched_at IS NOT NULL;
CREATE INDEX upload_touched ON upload (touched_at) WHERE touched_at IS NOT NULL;
CREATE INDEX upload_ended ON upload (issued_at) WHERE touched_at IS NULL;

-- Bytes that no row names any more and that are removed after a grace for readers.
CREATE TABLE trash (
    stored_name TEXT PRIMARY KEY,
    size        INTEGER NOT NULL,
    thrown_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_thrown ON trash (thrown_at);

CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
