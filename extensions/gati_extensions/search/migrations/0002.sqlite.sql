-- Types that methods take or give, each once. `hash` is its gtypeHash, `shape` that of the type without brands, `body`
-- its canonical JSON; `uses` counts methods' mentions, and with the last one it goes.
CREATE TABLE search_type (
    hash  TEXT PRIMARY KEY,
    shape TEXT NOT NULL,
    body  TEXT NOT NULL,
    uses  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX search_type_shape ON search_type (shape);

-- Keys by which a type is found (`types/keys.py`): role 1 where it takes, 2 where it is given.
CREATE TABLE search_type_key (
    role INTEGER NOT NULL,
    key  TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (role, key, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_type_key_hash ON search_type_key (hash);

-- Methods of each repository's latest version; the name "" is the artifact as a whole.
CREATE TABLE search_method (
    repository TEXT NOT NULL,
    method     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    version    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    takes      TEXT,
    gives      TEXT,
    PRIMARY KEY (repository, method)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_method_takes ON search_method (takes, repository, method) WHERE takes IS NOT NULL;
CREATE INDEX search_method_gives ON search_method (gives, repository, method) WHERE gives IS NOT NULL;
