-- What artifacts mean: a vector of eight bits a dimension, and until that is computed the text that it will be of.
-- `changed` grows with every vector, so that workers read what is new.
CREATE TABLE search_index_vector (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    hash    BLOB NOT NULL,
    text    TEXT,
    vector  BLOB,
    changed INTEGER
) STRICT;
CREATE INDEX search_index_vector_changed ON search_index_vector (changed, id) WHERE changed IS NOT NULL;
CREATE INDEX search_index_vector_waiting ON search_index_vector (id) WHERE text IS NOT NULL;

-- Numbers what is read to be indexed elsewhere: of two readings the later has the higher one, also after a restore.
CREATE TABLE search_turn (
    one    INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
