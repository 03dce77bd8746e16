-- Times are milliseconds since the epoch, UTC.

-- The registry's key for capabilities (Ed25519, 32 bytes as hexadecimal).
CREATE TABLE access_key (
    id         BIGINT PRIMARY KEY,
    private    TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Capabilities that were issued here; those delegated from them are known to their holders alone.
CREATE TABLE access_capability (
    jti        TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL,
    note       TEXT NOT NULL,
    caps       TEXT NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_capability_account ON access_capability (account_id, jti);

-- Blocks that are good no more, until they would have expired anyway.
CREATE TABLE access_revoked (
    jti        TEXT COLLATE "C" PRIMARY KEY,
    revoked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_revoked_expires ON access_revoked (expires_at);
