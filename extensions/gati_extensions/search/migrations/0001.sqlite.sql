-- What has changed and is to be indexed: a repository, or with `below` all at and below a path. `mark` is another one
-- after each change, so that only what was read is taken off.
CREATE TABLE search_dirty (
    name       TEXT NOT NULL,
    below      INTEGER NOT NULL,
    mark       INTEGER NOT NULL,
    PRIMARY KEY (name, below)
) STRICT, WITHOUT ROWID;

-- The index, twice: one serves, another may be built beside it. Tables of an index are made of others and never moved.
CREATE TABLE search_index_state (
    slot INTEGER PRIMARY KEY,
    role TEXT NOT NULL
) STRICT;

CREATE TABLE search_index_document1 (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    base        TEXT NOT NULL,
    version_key TEXT NOT NULL,
    digest      TEXT NOT NULL,
    stars       INTEGER NOT NULL,
    downloads   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    facets      TEXT NOT NULL
) STRICT;
CREATE TABLE search_index_body1 (
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX search_index_document1_base ON search_index_document1 (base, id);
CREATE INDEX search_index_document1_stars ON search_index_document1 (stars DESC, name);
CREATE INDEX search_index_document1_downloads ON search_index_document1 (downloads DESC, name);
CREATE INDEX search_index_document1_created ON search_index_document1 (created_at DESC, name);
CREATE INDEX search_index_document1_updated ON search_index_document1 (updated_at DESC, name);
CREATE TABLE search_index_number1 (
    document INTEGER NOT NULL,
    field    TEXT NOT NULL,
    number   REAL NOT NULL,
    PRIMARY KEY (document, field, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE search_index_gati1 (
    document INTEGER NOT NULL,
    low      TEXT NOT NULL,
    high     TEXT NOT NULL,
    PRIMARY KEY (document, low)
) STRICT, WITHOUT ROWID;
CREATE TABLE search_index_word1 (
    word    TEXT PRIMARY KEY,
    initial TEXT NOT NULL,
    length  INTEGER NOT NULL,
    number  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX search_index_word1_shape ON search_index_word1 (initial, length, number DESC);
CREATE VIRTUAL TABLE search_index_text1 USING fts5 (
    name, title, keywords, description, readme, marks,
    content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0"
);

CREATE TABLE search_index_document2 (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    base        TEXT NOT NULL,
    version_key TEXT NOT NULL,
    digest      TEXT NOT NULL,
    stars       INTEGER NOT NULL,
    downloads   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    facets      TEXT NOT NULL
) STRICT;
CREATE TABLE search_index_body2 (
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX search_index_document2_base ON search_index_document2 (base, id);
CREATE INDEX search_index_document2_stars ON search_index_document2 (stars DESC, name);
CREATE INDEX search_index_document2_downloads ON search_index_document2 (downloads DESC, name);
CREATE INDEX search_index_document2_created ON search_index_document2 (created_at DESC, name);
CREATE INDEX search_index_document2_updated ON search_index_document2 (updated_at DESC, name);
CREATE TABLE search_index_number2 (
    document INTEGER NOT NULL,
    field    TEXT NOT NULL,
    number   REAL NOT NULL,
    PRIMARY KEY (document, field, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE search_index_gati2 (
    document INTEGER NOT NULL,
    low      TEXT NOT NULL,
    high     TEXT NOT NULL,
    PRIMARY KEY (document, low)
) STRICT, WITHOUT ROWID;
CREATE TABLE search_index_word2 (
    word    TEXT PRIMARY KEY,
    initial TEXT NOT NULL,
    length  INTEGER NOT NULL,
    number  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX search_index_word2_shape ON search_index_word2 (initial, length, number DESC);
CREATE VIRTUAL TABLE search_index_text2 USING fts5 (
    name, title, keywords, description, readme, marks,
    content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0"
);
