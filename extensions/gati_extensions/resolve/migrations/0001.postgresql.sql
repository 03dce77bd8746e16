-- Who wants what: a row for each dependency of each stored manifest. `name` is the repository as written.
CREATE TABLE resolve_edge (
    name       TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    type       TEXT COLLATE "C" NOT NULL,
    wanted     TEXT NOT NULL,
    optional   BIGINT NOT NULL,
    PRIMARY KEY (name, repository, digest, type)
);
CREATE INDEX resolve_edge_repository ON resolve_edge (repository, digest);

-- Advisories about an artifact (OSV, as JSON). `state` is published, submitted or withdrawn.
CREATE TABLE resolve_advisory (
    repository TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    state      TEXT NOT NULL,
    severity   TEXT NOT NULL,
    body       TEXT NOT NULL,
    author     TEXT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (repository, id)
);
