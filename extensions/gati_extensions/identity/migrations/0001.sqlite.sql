-- Times are milliseconds since the epoch, UTC. Secrets are here as hashes only; those of high entropy as SHA-256 (hex).

-- Users, organizations and robots share one space of names. An erased one keeps its name and nothing else.
-- `epoch` counts up whenever all that was issued to the account is to end.
CREATE TABLE identity_account (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    admin      INTEGER NOT NULL DEFAULT 0,
    active     INTEGER NOT NULL DEFAULT 1,
    email      TEXT,
    display    TEXT NOT NULL DEFAULT '',
    url        TEXT,
    password   TEXT,
    owner_id   INTEGER REFERENCES identity_account (id),
    epoch      INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    erased_at  INTEGER
) STRICT;
CREATE INDEX identity_account_owner ON identity_account (owner_id, name) WHERE owner_id IS NOT NULL;

CREATE TABLE identity_member (
    org_id     INTEGER NOT NULL REFERENCES identity_account (id),
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    role       TEXT NOT NULL,
    since      INTEGER NOT NULL,
    PRIMARY KEY (org_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_member_account ON identity_member (account_id);

CREATE TABLE identity_team (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id      INTEGER NOT NULL REFERENCES identity_account (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    UNIQUE (org_id, name)
) STRICT;

CREATE TABLE identity_team_member (
    team_id    INTEGER NOT NULL REFERENCES identity_team (id) ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    since      INTEGER NOT NULL,
    PRIMARY KEY (team_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_team_member_account ON identity_team_member (account_id);

-- API keys. `scopes` are words joined by spaces, `path` bounds them ('' is everywhere).
CREATE TABLE identity_key (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    path       TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at    INTEGER
) STRICT;
CREATE INDEX identity_key_account ON identity_key (account_id, id);

-- Keys that sign tokens. One that is retired still verifies what it signed.
CREATE TABLE identity_signing_key (
    kid        TEXT PRIMARY KEY,
    private    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;

-- What clients keep to get tokens without a password. It ends with the key it was got with, and with the epoch.
CREATE TABLE identity_refresh (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    key_id     TEXT REFERENCES identity_key (id) ON DELETE CASCADE,
    hash       TEXT NOT NULL UNIQUE,
    epoch      INTEGER NOT NULL,
    method     TEXT NOT NULL,
    client     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_refresh_account ON identity_refresh (account_id, used_at);
CREATE INDEX identity_refresh_key ON identity_refresh (key_id) WHERE key_id IS NOT NULL;

CREATE TABLE identity_session (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    hash       TEXT NOT NULL UNIQUE,
    epoch      INTEGER NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_session_account ON identity_session (account_id, created_at);

CREATE TABLE identity_invitation (
    id         TEXT PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    email      TEXT,
    created_by INTEGER NOT NULL REFERENCES identity_account (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    used_by    INTEGER REFERENCES identity_account (id)
) STRICT;

-- Failed logins in a row, by a hash of who tried from where.
CREATE TABLE identity_attempt (
    mark     TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_attempt_until ON identity_attempt (until);

-- A one-time password (RFC 6238). `step` is the last time step that was used: no code works twice.
CREATE TABLE identity_totp (
    account_id   INTEGER PRIMARY KEY REFERENCES identity_account (id),
    secret       TEXT NOT NULL,
    confirmed_at INTEGER,
    step         INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE identity_recovery (
    account_id INTEGER NOT NULL REFERENCES identity_account (id),
    hash       TEXT NOT NULL,
    PRIMARY KEY (account_id, hash)
) STRICT, WITHOUT ROWID;

-- Counts every change that may end what was remembered of an account or a credential.
CREATE TABLE identity_revision (number INTEGER NOT NULL) STRICT;
INSERT INTO identity_revision VALUES (1);

-- The built-in administrator; the core keeps the password.
INSERT INTO identity_account (name, kind, admin, created_at) VALUES ('admin', 'user', 1, 0);
