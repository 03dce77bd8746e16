-- What artifacts mean: a vector of eight bits a dimension, and until that is computed the text that it will be of.
-- `changed` grows with every vector, so that workers read what is new.
CREATE TABLE search_vector (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL UNIQUE,
    hash    BYTEA NOT NULL,
    text    TEXT,
    vector  BYTEA,
    changed BIGINT
);
CREATE INDEX search_vector_changed ON search_vector (changed, id) WHERE changed IS NOT NULL;
CREATE INDEX search_vector_waiting ON search_vector (id) WHERE text IS NOT NULL;
