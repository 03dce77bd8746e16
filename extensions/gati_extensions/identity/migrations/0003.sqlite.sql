-- Trusted publishing: whose builds may do what in one repository. `account_id` is in whose name they act, `anchor` the
-- claim that they are found by; `claims` is a JSON object, `actions` are words joined by spaces.
CREATE TABLE identity_publisher (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    repository TEXT NOT NULL,
    name       TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    anchor     TEXT NOT NULL,
    claims     TEXT NOT NULL,
    actions    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
CREATE INDEX identity_publisher_repository ON identity_publisher (repository, id);
CREATE INDEX identity_publisher_anchor ON identity_publisher (issuer, anchor);
CREATE INDEX identity_publisher_account ON identity_publisher (account_id);

-- What was exchanged. `mark` stands for the build's own token and keeps it from being exchanged again: the row outlives
-- its publisher, until both tokens have ended by themselves.
CREATE TABLE identity_exchange (
    id           TEXT PRIMARY KEY,
    publisher_id TEXT NOT NULL,
    mark         TEXT NOT NULL UNIQUE,
    hash         TEXT NOT NULL UNIQUE,
    actions      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    forget_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_exchange_forget ON identity_exchange (forget_at);

-- Devices that wait for a person's word (RFC 8628); `pause` is in seconds. A request ends with its use.
CREATE TABLE identity_device (
    id          TEXT PRIMARY KEY,
    device_hash TEXT NOT NULL UNIQUE,
    user_hash   TEXT NOT NULL UNIQUE,
    client      TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    path        TEXT NOT NULL,
    address     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    state       TEXT NOT NULL,
    account_id  INTEGER REFERENCES identity_account (id),
    epoch       INTEGER,
    polled_at   INTEGER NOT NULL,
    pause       INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_device_expires ON identity_device (expires_at);
CREATE INDEX identity_device_account ON identity_device (account_id) WHERE account_id IS NOT NULL;

-- Whose a client certificate is: `kind` is fingerprint, uri, dns or subject, `mark` what it is found by (of a name,
-- together with who gave it). `scopes` and `path` bound it as a key.
CREATE TABLE identity_certificate (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    mark       TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    path       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_certificate_account ON identity_certificate (account_id, id);

CREATE TABLE identity_revoked (
    fingerprint TEXT PRIMARY KEY,
    revoked_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Passkeys (WebAuthn): id and public key are base64url; `site` and `origin` are what they were added under. A counter
-- that went back says that there may be a copy.
CREATE TABLE identity_passkey (
    id            TEXT PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES identity_account (id),
    name          TEXT NOT NULL,
    credential_id TEXT NOT NULL UNIQUE,
    public_key    TEXT NOT NULL,
    sign_count    INTEGER NOT NULL,
    site          TEXT NOT NULL,
    origin        TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    used_at       INTEGER,
    cloned_at     INTEGER
) STRICT;
CREATE INDEX identity_passkey_account ON identity_passkey (account_id);

CREATE TABLE identity_challenge (
    state      TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    purpose    TEXT NOT NULL,
    session    TEXT NOT NULL,
    origin     TEXT NOT NULL,
    challenge  TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_challenge_account ON identity_challenge (account_id);
CREATE INDEX identity_challenge_expires ON identity_challenge (expires_at);
