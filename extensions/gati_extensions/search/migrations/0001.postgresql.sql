-- What has changed and is to be indexed: a repository, or with `below` all at and below a path. `mark` is another one
-- after each change, so that only what was read is taken off.
CREATE TABLE search_dirty (
    name       TEXT COLLATE "C" NOT NULL,
    below      BIGINT NOT NULL,
    mark       BIGINT NOT NULL,
    PRIMARY KEY (name, below)
);

-- The index, twice: one serves, another may be built beside it. Tables of an index are made of others and never moved.
CREATE TABLE search_index_state (
    slot BIGINT PRIMARY KEY,
    role TEXT COLLATE "C" NOT NULL
);

CREATE TABLE search_index_document1 (
    id          BIGINT PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE,
    base        TEXT COLLATE "C" NOT NULL,
    version_key TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    stars       BIGINT NOT NULL,
    downloads   BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    facets      TEXT NOT NULL
);
CREATE TABLE search_index_body1 (
    id   BIGINT PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE INDEX search_index_document1_base ON search_index_document1 (base, id);
CREATE INDEX search_index_document1_stars ON search_index_document1 (stars DESC, name);
CREATE INDEX search_index_document1_downloads ON search_index_document1 (downloads DESC, name);
CREATE INDEX search_index_document1_created ON search_index_document1 (created_at DESC, name);
CREATE INDEX search_index_document1_updated ON search_index_document1 (updated_at DESC, name);
CREATE TABLE search_index_number1 (
    document BIGINT NOT NULL,
    field    TEXT COLLATE "C" NOT NULL,
    number   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (document, field, number)
);
CREATE TABLE search_index_gati1 (
    document BIGINT NOT NULL,
    low      TEXT COLLATE "C" NOT NULL,
    high     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (document, low)
);
CREATE TABLE search_index_word1 (
    word    TEXT COLLATE "C" PRIMARY KEY,
    initial TEXT COLLATE "C" NOT NULL,
    length  BIGINT NOT NULL,
    number  BIGINT NOT NULL
);
CREATE INDEX search_index_word1_shape ON search_index_word1 (initial, length, number DESC);
CREATE TABLE search_index_text1 (
    id    BIGINT PRIMARY KEY,
    words TSVECTOR NOT NULL
);
ALTER TABLE search_index_text1 ALTER COLUMN words SET STORAGE MAIN;
CREATE INDEX search_index_text1_words ON search_index_text1 USING gin (words) WITH (fastupdate = off);

CREATE TABLE search_index_document2 (
    id          BIGINT PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE,
    base        TEXT COLLATE "C" NOT NULL,
    version_key TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    stars       BIGINT NOT NULL,
    downloads   BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    facets      TEXT NOT NULL
);
CREATE TABLE search_index_body2 (
    id   BIGINT PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE INDEX search_index_document2_base ON search_index_document2 (base, id);
CREATE INDEX search_index_document2_stars ON search_index_document2 (stars DESC, name);
CREATE INDEX search_index_document2_downloads ON search_index_document2 (downloads DESC, name);
CREATE INDEX search_index_document2_created ON search_index_document2 (created_at DESC, name);
CREATE INDEX search_index_document2_updated ON search_index_document2 (updated_at DESC, name);
CREATE TABLE search_index_number2 (
    document BIGINT NOT NULL,
    field    TEXT COLLATE "C" NOT NULL,
    number   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (document, field, number)
);
CREATE TABLE search_index_gati2 (
    document BIGINT NOT NULL,
    low      TEXT COLLATE "C" NOT NULL,
    high     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (document, low)
);
CREATE TABLE search_index_word2 (
    word    TEXT COLLATE "C" PRIMARY KEY,
    initial TEXT COLLATE "C" NOT NULL,
    length  BIGINT NOT NULL,
    number  BIGINT NOT NULL
);
CREATE INDEX search_index_word2_shape ON search_index_word2 (initial, length, number DESC);
CREATE TABLE search_index_text2 (
    id    BIGINT PRIMARY KEY,
    words TSVECTOR NOT NULL
);
ALTER TABLE search_index_text2 ALTER COLUMN words SET STORAGE MAIN;
CREATE INDEX search_index_text2_words ON search_index_text2 USING gin (words) WITH (fastupdate = off);

-- Misspellings are found by trigrams where the server has them; otherwise by beginning and length, as on SQLite.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX search_index_word1_trigrams ON search_index_word1 USING gin (word gin_trgm_ops);
    CREATE INDEX search_index_word2_trigrams ON search_index_word2 USING gin (word gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    NULL;
END $$;
