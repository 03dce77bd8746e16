-- Who wants what: a row for each dependency of each stored manifest. `name` is the repository as written.
CREATE TABLE resolve_edge (
    name       TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    type       TEXT NOT NULL,
    wanted     TEXT NOT NULL,
    optional   INTEGER NOT NULL,
    PRIMARY KEY (name, repository, digest, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX resolve_edge_repository ON resolve_edge (repository, digest);

-- Advisories about an artifact (OSV, as JSON). `state` is published, submitted or withdrawn.
CREATE TABLE resolve_advisory (
    repository TEXT NOT NULL,
    id         TEXT NOT NULL,
    state      TEXT NOT NULL,
    severity   TEXT NOT NULL,
    body       TEXT NOT NULL,
    author     TEXT,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (repository, id)
) STRICT, WITHOUT ROWID;
