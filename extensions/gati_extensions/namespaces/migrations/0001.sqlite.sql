-- Times are milliseconds since the epoch, UTC. A namespace needs no row; it has one where something is set.

CREATE TABLE namespaces_node (
    path        TEXT PRIMARY KEY,
    visibility  TEXT,
    description TEXT NOT NULL,
    labels      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `kind` is user, robot or team; `subject` the account's or team's number.
CREATE TABLE namespaces_member (
    path     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    subject  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (path, kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX namespaces_member_subject ON namespaces_member (kind, subject);

-- `inherits` is a list of roles, `permissions` a list of {effect, actions, conditions}.
CREATE TABLE namespaces_role (
    path        TEXT NOT NULL,
    name        TEXT NOT NULL,
    inherits    TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (path, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE namespaces_policy (
    path        TEXT NOT NULL,
    name        TEXT NOT NULL,
    enforcement TEXT NOT NULL,
    body        TEXT NOT NULL,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (path, name)
) STRICT, WITHOUT ROWID;

-- What is used at and below a namespace. A limit that is NULL is the setting's; -1 is none.
CREATE TABLE namespaces_usage (
    path            TEXT PRIMARY KEY,
    bytes           INTEGER NOT NULL,
    artifacts       INTEGER NOT NULL,
    limit_bytes     INTEGER,
    limit_artifacts INTEGER,
    limit_bandwidth INTEGER,
    limit_calls     INTEGER
) STRICT, WITHOUT ROWID;

-- Of each calendar month ("2030-01").
CREATE TABLE namespaces_traffic (
    path      TEXT NOT NULL,
    month     TEXT NOT NULL,
    bandwidth INTEGER NOT NULL,
    calls     INTEGER NOT NULL,
    PRIMARY KEY (path, month)
) STRICT, WITHOUT ROWID;

-- What each repository holds, and the visibility that it has from its namespaces, kept for lists.
CREATE TABLE namespaces_repository (
    name       TEXT PRIMARY KEY,
    visibility TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    manifests  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE namespaces_draft (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    author     TEXT NOT NULL,
    pushed_at  INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE namespaces_alias (
    old        TEXT PRIMARY KEY,
    new        TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE namespaces_verification (
    path        TEXT NOT NULL,
    method      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    token       TEXT NOT NULL,
    asked_at    INTEGER NOT NULL,
    verified_at INTEGER,
    PRIMARY KEY (path, method, subject)
) STRICT, WITHOUT ROWID;

-- Counters that tell caches of changes.
CREATE TABLE namespaces_revision (
    name   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO namespaces_revision VALUES ('rules', 1), ('drafts', 1), ('uncounted', 1);
