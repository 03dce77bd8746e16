-- Times are milliseconds since the epoch, UTC. A namespace needs no row; it has one where something is set.

CREATE TABLE namespaces_node (
    path        TEXT COLLATE "C" PRIMARY KEY,
    visibility  TEXT,
    description TEXT NOT NULL,
    labels      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL
);

-- `kind` is user, robot or team; `subject` the account's or team's number.
CREATE TABLE namespaces_member (
    path     TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    subject  BIGINT NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    role     TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (path, kind, subject)
);
CREATE INDEX namespaces_member_subject ON namespaces_member (kind, subject);

-- `inherits` is a list of roles, `permissions` a list of {effect, actions, conditions}.
CREATE TABLE namespaces_role (
    path        TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    inherits    TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (path, name)
);

CREATE TABLE namespaces_policy (
    path        TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    enforcement TEXT NOT NULL,
    body        TEXT NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (path, name)
);

-- What is used at and below a namespace. A limit that is NULL is the setting's; -1 is none.
CREATE TABLE namespaces_usage (
    path            TEXT COLLATE "C" PRIMARY KEY,
    bytes           BIGINT NOT NULL,
    artifacts       BIGINT NOT NULL,
    limit_bytes     BIGINT,
    limit_artifacts BIGINT,
    limit_bandwidth BIGINT,
    limit_calls     BIGINT
);

-- Of each calendar month ("2030-01").
CREATE TABLE namespaces_traffic (
    path      TEXT COLLATE "C" NOT NULL,
    month     TEXT COLLATE "C" NOT NULL,
    bandwidth BIGINT NOT NULL,
    calls     BIGINT NOT NULL,
    PRIMARY KEY (path, month)
);

-- What each repository holds, and the visibility that it has from its namespaces, kept for lists.
CREATE TABLE namespaces_repository (
    name       TEXT COLLATE "C" PRIMARY KEY,
    visibility TEXT NOT NULL,
    bytes      BIGINT NOT NULL,
    manifests  BIGINT NOT NULL
);

CREATE TABLE namespaces_draft (
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    author     TEXT NOT NULL,
    pushed_at  BIGINT NOT NULL,
    PRIMARY KEY (repository, digest)
);

CREATE TABLE namespaces_alias (
    old        TEXT COLLATE "C" PRIMARY KEY,
    new        TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE namespaces_verification (
    path        TEXT COLLATE "C" NOT NULL,
    method      TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    token       TEXT NOT NULL,
    asked_at    BIGINT NOT NULL,
    verified_at BIGINT,
    PRIMARY KEY (path, method, subject)
);

-- Counters that tell caches of changes.
CREATE TABLE namespaces_revision (
    name   TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO namespaces_revision VALUES ('rules', 1), ('drafts', 1), ('uncounted', 1);
