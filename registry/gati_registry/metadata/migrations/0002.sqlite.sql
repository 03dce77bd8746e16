-- Events that a reaction is still to be told of: one row for each of both. `payload` is the event as JSON.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    reaction     TEXT NOT NULL,
    repository   TEXT NOT NULL,
    payload      TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL,
    holder       TEXT,
    leased_until INTEGER NOT NULL DEFAULT 0,
    dead_at      INTEGER,
    error        TEXT,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_line ON outbox (reaction, repository, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_due ON outbox (due_at) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;
