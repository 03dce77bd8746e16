CREATE TABLE stranger_note (
    kind  TEXT NOT NULL,
    value TEXT NOT NULL,
    time  INTEGER NOT NULL
) STRICT;
