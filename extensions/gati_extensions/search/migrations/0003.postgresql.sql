-- What artifacts mean: a vector of eight bits a dimension, and until that is computed the text that it will be of.
-- `changed` grows with every vector, so that workers read what is new.
CREATE TABLE search_index_vector (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL UNIQUE,
    hash    BYTEA NOT NULL,
    text    TEXT,
    vector  BYTEA,
    changed BIGINT
);
CREATE INDEX search_index_vector_changed ON search_index_vector (changed, id) WHERE changed IS NOT NULL;
CREATE INDEX search_index_vector_waiting ON search_index_vector (id) WHERE text IS NOT NULL;

-- Numbers what is read to be indexed elsewhere: of two readings the later has the higher one, also after a restore.
CREATE TABLE search_turn (
    one    INTEGER PRIMARY KEY,
    number BIGINT NOT NULL
);
