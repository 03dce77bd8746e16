-- Who somebody is elsewhere: by issuer and subject, never by name or address. `provider` is the setting's id ('ldap' for the
-- directory), `label` what its owner knows it by. `suspended_at` is when the directory said that it is no more.
CREATE TABLE identity_link (
    id           TEXT COLLATE "C" PRIMARY KEY,
    account_id   BIGINT NOT NULL REFERENCES identity_account (id),
    provider     TEXT COLLATE "C" NOT NULL,
    issuer       TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    label        TEXT NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    suspended_at BIGINT,
    UNIQUE (issuer, subject)
);
CREATE INDEX identity_link_account ON identity_link (account_id, id);
CREATE INDEX identity_link_provider ON identity_link (provider, id);

-- What an account was given because of its groups there, and is taken again when it is in them no more.
CREATE TABLE identity_given (
    account_id BIGINT NOT NULL REFERENCES identity_account (id),
    provider   TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, provider, target)
);
