-- Events that a reaction is still to be told of: one row for each of both. `payload` is the event as JSON.
CREATE TABLE outbox (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reaction     TEXT COLLATE "C" NOT NULL,
    repository   TEXT COLLATE "C" NOT NULL,
    payload      TEXT NOT NULL,
    attempts     BIGINT NOT NULL DEFAULT 0,
    due_at       BIGINT NOT NULL,
    holder       TEXT,
    leased_until BIGINT NOT NULL DEFAULT 0,
    dead_at      BIGINT,
    error        TEXT,
    created_at   BIGINT NOT NULL
);
CREATE INDEX outbox_line ON outbox (reaction, repository, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_due ON outbox (due_at) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;
