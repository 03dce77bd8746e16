-- Times are milliseconds since the epoch, UTC. Secrets are here as hashes only; those of high entropy as SHA-256 (hex).

-- Users, organizations and robots share one space of names. An erased one keeps its name and nothing else.
-- `epoch` counts up whenever all that was issued to the account is to end.
CREATE TABLE identity_account (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    admin      BIGINT NOT NULL DEFAULT 0,
    active     BIGINT NOT NULL DEFAULT 1,
    email      TEXT,
    display    TEXT NOT NULL DEFAULT '',
    url        TEXT,
    password   TEXT,
    owner_id   BIGINT REFERENCES identity_account (id),
    epoch      BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    erased_at  BIGINT
);
CREATE INDEX identity_account_owner ON identity_account (owner_id, name) WHERE owner_id IS NOT NULL;

CREATE TABLE identity_member (
    org_id     BIGINT NOT NULL REFERENCES identity_account (id),
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    role       TEXT NOT NULL,
    since      BIGINT NOT NULL,
    PRIMARY KEY (org_id, account_id)
);
CREATE INDEX identity_member_account ON identity_member (account_id);

CREATE TABLE identity_team (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id      BIGINT NOT NULL REFERENCES identity_account (id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    UNIQUE (org_id, name)
);

CREATE TABLE identity_team_member (
    team_id    BIGINT NOT NULL REFERENCES identity_team (id) ON DELETE CASCADE,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    since      BIGINT NOT NULL,
    PRIMARY KEY (team_id, account_id)
);
CREATE INDEX identity_team_member_account ON identity_team_member (account_id);

-- API keys. `scopes` are words joined by spaces, `path` bounds them ('' is everywhere).
CREATE TABLE identity_key (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    name       TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    path       TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at    BIGINT
);
CREATE INDEX identity_key_account ON identity_key (account_id, id);

-- Keys that sign tokens. One that is retired still verifies what it signed.
CREATE TABLE identity_signing_key (
    kid        TEXT COLLATE "C" PRIMARY KEY,
    private    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- What clients keep to get tokens without a password. It ends with the key it was got with, and with the epoch.
CREATE TABLE identity_refresh (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    key_id     TEXT COLLATE "C" REFERENCES identity_key (id) ON DELETE CASCADE,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    epoch      BIGINT NOT NULL,
    method     TEXT NOT NULL,
    client     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX identity_refresh_account ON identity_refresh (account_id, used_at);
CREATE INDEX identity_refresh_key ON identity_refresh (key_id) WHERE key_id IS NOT NULL;

CREATE TABLE identity_session (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    epoch      BIGINT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX identity_session_account ON identity_session (account_id, created_at);

CREATE TABLE identity_invitation (
    id         TEXT COLLATE "C" PRIMARY KEY,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    email      TEXT,
    created_by BIGINT NOT NULL REFERENCES identity_account (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    used_by    BIGINT REFERENCES identity_account (id)
);

-- Failed logins in a row, by a hash of who tried from where.
CREATE TABLE identity_attempt (
    mark     TEXT COLLATE "C" PRIMARY KEY,
    failures BIGINT NOT NULL,
    until    BIGINT NOT NULL
);
CREATE INDEX identity_attempt_until ON identity_attempt (until);

-- A one-time password (RFC 6238). `step` is the last time step that was used: no code works twice.
CREATE TABLE identity_totp (
    account_id   BIGINT PRIMARY KEY REFERENCES identity_account (id),
    secret       TEXT NOT NULL,
    confirmed_at BIGINT,
    step         BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE identity_recovery (
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    hash       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, hash)
);

-- Counts every change that may end what was remembered of an account or a credential.
CREATE TABLE identity_revision (number BIGINT NOT NULL);
INSERT INTO identity_revision VALUES (1);

-- The built-in administrator; the core keeps the password.
INSERT INTO identity_account (name, kind, admin, created_at) VALUES ('admin', 'user', 1, 0);
