-- Times are milliseconds since the epoch, UTC. A pseudonym is "~" and 32 hexadecimal digits. Leaves are numbered from 0
-- without gaps, in the order in which they entered the tree; entries and segments share the numbers.

-- What happened and has no leaf yet: written in the transaction of what it tells, taken out by the sequencer.
CREATE TABLE audit_inbox (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL
);

-- Who is behind a pseudonym. Erasing a person takes name and key out of the row: what `key` sealed is lost with it.
CREATE TABLE audit_person (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id BIGINT,
    name       TEXT COLLATE "C",
    key        BYTEA,
    created_at BIGINT NOT NULL,
    erased_at  BIGINT,
    UNIQUE (name, account_id)
);

-- One leaf each. `origin` (address, user agent, credential) is sealed with the actor's key; so are `changes` with the
-- key of the person that `subject` names, if it names one.
CREATE TABLE audit_entry (
    leaf        BIGINT PRIMARY KEY,
    event_id    TEXT COLLATE "C" NOT NULL,
    time        BIGINT NOT NULL,
    category    TEXT COLLATE "C" NOT NULL,
    action      TEXT COLLATE "C" NOT NULL,
    actor       TEXT COLLATE "C",
    subject     TEXT COLLATE "C",
    method      TEXT COLLATE "C" NOT NULL,
    resource    TEXT COLLATE "C" NOT NULL,
    namespace   TEXT COLLATE "C" NOT NULL,
    decision    TEXT COLLATE "C" NOT NULL,
    status      BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    detail      TEXT COLLATE "C",
    origin      BYTEA,
    changes     BYTEA
);
CREATE INDEX audit_entry_time ON audit_entry (time, leaf);
CREATE INDEX audit_entry_actor ON audit_entry (actor, time, leaf) WHERE actor IS NOT NULL;
CREATE INDEX audit_entry_subject ON audit_entry (subject, time, leaf) WHERE subject IS NOT NULL;
CREATE INDEX audit_entry_namespace ON audit_entry (namespace, time, leaf);
CREATE INDEX audit_entry_request ON audit_entry (request_id, time, leaf);

-- Reads and refusals of about a second in one worker: one leaf, whose bytes are `body`, inflated.
CREATE TABLE audit_segment (
    leaf       BIGINT PRIMARY KEY,
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    lines      BIGINT NOT NULL,
    body       BYTEA NOT NULL
);
-- It is compressed already: don't try again.
ALTER TABLE audit_segment ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX audit_segment_time ON audit_segment (last_time, leaf);

-- Actors and namespaces that a segment tells of, and whether it tells of refusals.
CREATE TABLE audit_mention (
    term      TEXT COLLATE "C" NOT NULL,
    last_time BIGINT NOT NULL,
    leaf      BIGINT NOT NULL,
    PRIMARY KEY (term, last_time, leaf)
);
CREATE INDEX audit_mention_leaf ON audit_mention (leaf);

-- The Merkle tree: hashes of 32 bytes, up to 256 in a tile. They stay when the rows of old leaves go.
CREATE TABLE audit_tile (
    level  BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (level, number)
);
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- One row. Leaves before `pruned` have no rows any more.
CREATE TABLE audit_tree (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    size   BIGINT NOT NULL,
    pruned BIGINT NOT NULL
);
INSERT INTO audit_tree VALUES (1, 0, 0);

CREATE TABLE audit_checkpoint (
    size BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    note TEXT COLLATE "C" NOT NULL
);

-- Keys that signed or sign checkpoints; the newest signs. `private` is NULL where the key lives in a file.
CREATE TABLE audit_key (
    public  TEXT COLLATE "C" PRIMARY KEY,
    private BYTEA,
    made_at BIGINT NOT NULL
);
