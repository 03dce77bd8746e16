-- GTypes and methods of a manifest, where it has some. `body` is JSON: types by name, methods by name with what they
-- take and give, all of these by hash; and the types' canonical forms by hash.
CREATE TABLE kinds_signature (
    repository TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
);
