-- Keys of namespaces, each wrapped by a master key that is not here. `namespace` is a root of the tree of names, or
-- empty for uploads under way. One that was destroyed keeps its row, without the key.
CREATE TABLE namespace_key (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace    TEXT COLLATE "C" NOT NULL,
    master       TEXT NOT NULL,
    wrapped      BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    destroyed_at BIGINT
);
CREATE UNIQUE INDEX namespace_key_live ON namespace_key (namespace) WHERE destroyed_at IS NULL;

-- Blobs whose bytes are encrypted, wherever they lie, in frames of so many plain bytes.
CREATE TABLE encrypted_blob (
    blob_id     BIGINT PRIMARY KEY REFERENCES blob (id) ON DELETE CASCADE,
    frame_bytes BIGINT NOT NULL
);

-- An encrypted blob's own key, wrapped by the key of each namespace that links it.
CREATE TABLE blob_key (
    blob_id BIGINT NOT NULL REFERENCES encrypted_blob (blob_id) ON DELETE CASCADE,
    key_id  BIGINT NOT NULL REFERENCES namespace_key (id),
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (blob_id, key_id)
);
CREATE INDEX blob_key_key ON blob_key (key_id, blob_id);

-- The key of staged bytes, wrapped by that of uploads, at each offset that a writer synced; with the encrypted rest of
-- them that makes no frame yet.
CREATE TABLE staged_key (
    name     TEXT COLLATE "C" NOT NULL,
    received BIGINT NOT NULL,
    wrapped  BYTEA NOT NULL,
    tail     BYTEA NOT NULL,
    PRIMARY KEY (name, received)
);
