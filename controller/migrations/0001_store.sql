-- The controller's store.
--
-- Times are milliseconds since the Unix epoch. Unsigned 64-bit numbers are kept as the signed number with the same
-- bits. Tasks come in chunks of 256 consecutive indices: chunk = index / 256. Bodies are protobuf messages that only
-- this store reads.

-- "Crfw": tells this file from other programs' databases.
PRAGMA application_id = 1131570807;

-- Single numbers of the whole store: 'epoch'.
CREATE TABLE numbers (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    name TEXT NOT NULL PRIMARY KEY,
    labels TEXT NOT NULL DEFAULT '{}',
    ledger_incarnation INTEGER,
    ledger_counter INTEGER,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    seen_at INTEGER,
    version TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- One row for all guests of a host, apart from hosts because it is long and seldom changes.
CREATE TABLE inventories (
    host TEXT NOT NULL PRIMARY KEY,
    digest INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE guest_labels (
    guest TEXT NOT NULL PRIMARY KEY,
    labels TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- state: 1 running, 2 cancelling, 3 ended, 4 being removed (no query shows it).
-- The counters say what the journal says: both change in one transaction.
CREATE TABLE operations (
    id INTEGER NOT NULL PRIMARY KEY,
    state INTEGER NOT NULL,
    requester TEXT NOT NULL,
    request_id TEXT,
    created_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    task_count INTEGER NOT NULL,
    host_count INTEGER NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    nothing_to_do INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    timed_out INTEGER NOT NULL DEFAULT 0,
    unreachable INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    ended_well INTEGER NOT NULL DEFAULT 0,
    late_findings INTEGER NOT NULL DEFAULT 0,
    cancelled_by TEXT,
    cancel_reason TEXT,
    cancelled_at INTEGER,
    ended_at INTEGER,
    revision INTEGER
) STRICT;

CREATE INDEX operations_by_state ON operations (state, id);
CREATE INDEX operations_by_request ON operations (request_id, requester) WHERE request_id IS NOT NULL;

-- What was asked, as JSON, apart from operations because it never changes and may be long.
CREATE TABLE specs (
    operation INTEGER NOT NULL PRIMARY KEY REFERENCES operations (id),
    spec TEXT NOT NULL
) STRICT;

-- The fixed set of guests: one row a chunk.
CREATE TABLE targets (
    operation INTEGER NOT NULL REFERENCES operations (id),
    chunk INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (operation, chunk)
) STRICT;

-- What happened to tasks, appended and never changed: one row for a chunk and a transaction.
-- outcomes: a bit for each outcome that the row brings (bit = its place), and bit 16 if one of them did not end well.
CREATE TABLE journal (
    operation INTEGER NOT NULL REFERENCES operations (id),
    chunk INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    outcomes INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (operation, chunk, seq)
) STRICT, WITHOUT ROWID;
