-- Trusted publishing: whose builds may do what in one repository. `account_id` is in whose name they act, `anchor` the
-- claim that they are found by; `claims` is a JSON object, `actions` are words joined by spaces.
CREATE TABLE identity_publisher (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    repository TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    issuer     TEXT COLLATE "C" NOT NULL,
    anchor     TEXT COLLATE "C" NOT NULL,
    claims     TEXT COLLATE "C" NOT NULL,
    actions    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX identity_publisher_repository ON identity_publisher (repository, id);
CREATE INDEX identity_publisher_anchor ON identity_publisher (issuer, anchor);
CREATE INDEX identity_publisher_account ON identity_publisher (account_id);

-- What was exchanged. `mark` stands for the build's own token and keeps it from being exchanged again: the row outlives
-- its publisher, until both tokens have ended by themselves.
CREATE TABLE identity_exchange (
    id           TEXT COLLATE "C" PRIMARY KEY,
    publisher_id TEXT COLLATE "C" NOT NULL,
    mark         TEXT COLLATE "C" NOT NULL UNIQUE,
    hash         TEXT COLLATE "C" NOT NULL UNIQUE,
    actions      TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    forget_at    BIGINT NOT NULL
);
CREATE INDEX identity_exchange_forget ON identity_exchange (forget_at);

-- Devices that wait for a person's word (RFC 8628); `pause` is in seconds. A request ends with its use.
CREATE TABLE identity_device (
    id          TEXT COLLATE "C" PRIMARY KEY,
    device_hash TEXT COLLATE "C" NOT NULL UNIQUE,
    user_hash   TEXT COLLATE "C" NOT NULL UNIQUE,
    client      TEXT COLLATE "C" NOT NULL,
    scopes      TEXT COLLATE "C" NOT NULL,
    path        TEXT COLLATE "C" NOT NULL,
    address     TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    account_id  BIGINT REFERENCES identity_account (id),
    epoch       BIGINT,
    polled_at   BIGINT NOT NULL,
    pause       BIGINT NOT NULL
);
CREATE INDEX identity_device_expires ON identity_device (expires_at);
CREATE INDEX identity_device_account ON identity_device (account_id) WHERE account_id IS NOT NULL;

-- Whose a client certificate is: `kind` is fingerprint, uri, dns or subject, `mark` what it is found by (of a name,
-- together with who gave it). `scopes` and `path` bound it as a key.
CREATE TABLE identity_certificate (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    kind       TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    issuer     TEXT COLLATE "C" NOT NULL,
    mark       TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes     TEXT COLLATE "C" NOT NULL,
    path       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX identity_certificate_account ON identity_certificate (account_id, id);

CREATE TABLE identity_revoked (
    fingerprint TEXT COLLATE "C" PRIMARY KEY,
    revoked_at  BIGINT NOT NULL
);

-- Passkeys (WebAuthn): id and public key are base64url; `site` and `origin` are what they were added under. A counter
-- that went back says that there may be a copy.
CREATE TABLE identity_passkey (
    id            TEXT COLLATE "C" PRIMARY KEY,
    account_id    BIGINT NOT NULL REFERENCES identity_account (id),
    name          TEXT COLLATE "C" NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL UNIQUE,
    public_key    TEXT COLLATE "C" NOT NULL,
    sign_count    BIGINT NOT NULL,
    site          TEXT COLLATE "C" NOT NULL,
    origin        TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT,
    cloned_at     BIGINT
);
CREATE INDEX identity_passkey_account ON identity_passkey (account_id);

CREATE TABLE identity_challenge (
    state      TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    purpose    TEXT COLLATE "C" NOT NULL,
    session    TEXT COLLATE "C" NOT NULL,
    origin     TEXT COLLATE "C" NOT NULL,
    challenge  TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX identity_challenge_account ON identity_challenge (account_id);
CREATE INDEX identity_challenge_expires ON identity_challenge (expires_at);
