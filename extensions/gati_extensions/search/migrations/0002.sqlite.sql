-- What artifacts mean: a vector of eight bits a dimension, and until that is computed the text that it will be of.
-- `changed` grows with every vector, so that workers read what is new.
CREATE TABLE search_vector (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    hash    BLOB NOT NULL,
    text    TEXT,
    vector  BLOB,
    changed INTEGER
) STRICT;
CREATE INDEX search_vector_changed ON search_vector (changed, id) WHERE changed IS NOT NULL;
CREATE INDEX search_vector_waiting ON search_vector (id) WHERE text IS NOT NULL;
