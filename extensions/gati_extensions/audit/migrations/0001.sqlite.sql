-- Times are milliseconds since the epoch, UTC. A pseudonym is "~" and 32 hexadecimal digits. Leaves are numbered from 0
-- without gaps, in the order in which they entered the tree; entries and segments share the numbers.

-- What happened and has no leaf yet: written in the transaction of what it tells, taken out by the sequencer.
CREATE TABLE audit_inbox (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- Who is behind a pseudonym. Erasing a person takes name and key out of the row: what `key` sealed is lost with it.
CREATE TABLE audit_person (
    id         TEXT PRIMARY KEY,
    account_id INTEGER,
    name       TEXT,
    key        BLOB,
    created_at INTEGER NOT NULL,
    erased_at  INTEGER,
    UNIQUE (name, account_id)
) STRICT, WITHOUT ROWID;

-- One leaf each. `origin` (address, user agent, credential) is sealed with the actor's key; so are `changes` with the
-- key of the person that `subject` names, if it names one.
CREATE TABLE audit_entry (
    leaf        INTEGER PRIMARY KEY,
    event_id    TEXT NOT NULL,
    time        INTEGER NOT NULL,
    category    TEXT NOT NULL,
    action      TEXT NOT NULL,
    actor       TEXT,
    subject     TEXT,
    method      TEXT NOT NULL,
    resource    TEXT NOT NULL,
    namespace   TEXT NOT NULL,
    decision    TEXT NOT NULL,
    status      INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    request_id  TEXT NOT NULL,
    detail      TEXT,
    origin      BLOB,
    changes     BLOB
) STRICT;
CREATE INDEX audit_entry_time ON audit_entry (time, leaf);
CREATE INDEX audit_entry_actor ON audit_entry (actor, time, leaf) WHERE actor IS NOT NULL;
CREATE INDEX audit_entry_subject ON audit_entry (subject, time, leaf) WHERE subject IS NOT NULL;
CREATE INDEX audit_entry_namespace ON audit_entry (namespace, time, leaf);
CREATE INDEX audit_entry_request ON audit_entry (request_id, time, leaf);

-- Reads and refusals of about a second in one worker: one leaf, whose bytes are `body`, inflated.
CREATE TABLE audit_segment (
    leaf       INTEGER PRIMARY KEY,
    first_time INTEGER NOT NULL,
    last_time  INTEGER NOT NULL,
    lines      INTEGER NOT NULL,
    body       BLOB NOT NULL
) STRICT;
CREATE INDEX audit_segment_time ON audit_segment (last_time, leaf);

-- Actors and namespaces that a segment tells of, and whether it tells of refusals.
CREATE TABLE audit_mention (
    term      TEXT NOT NULL,
    last_time INTEGER NOT NULL,
    leaf      INTEGER NOT NULL,
    PRIMARY KEY (term, last_time, leaf)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_mention_leaf ON audit_mention (leaf);

-- The Merkle tree: hashes of 32 bytes, up to 256 in a tile. They stay when the rows of old leaves go.
CREATE TABLE audit_tile (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

-- One row. Leaves before `pruned` have no rows any more.
CREATE TABLE audit_tree (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    size   INTEGER NOT NULL,
    pruned INTEGER NOT NULL
) STRICT;
INSERT INTO audit_tree VALUES (1, 0, 0);

CREATE TABLE audit_checkpoint (
    size INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

-- Keys that signed or sign checkpoints; the newest signs. `private` is NULL where the key lives in a file.
CREATE TABLE audit_key (
    public  TEXT PRIMARY KEY,
    private BLOB,
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
