-- Operations that are steered while they run, and what protects the fleet from all of them.
--
-- operations.state has three more numbers: 5 awaiting approval, 6 paused, 7 halted. Whatever has no ended_at is
-- unfinished.

-- Drew the guests of the first waves.
ALTER TABLE operations ADD COLUMN seed INTEGER NOT NULL DEFAULT 0;
-- How it stands, as JSON. NULL: from before this version; it runs in one wave with the budgets of its spec, that is none.
ALTER TABLE operations ADD COLUMN standing TEXT;
-- Tasks by wave, as a JSON list. NULL: from before this version; all of them are one wave.
ALTER TABLE operations ADD COLUMN wave_sizes TEXT;
-- Once ended, the tasks that took longest, as a JSON list of [index, milliseconds].
ALTER TABLE operations ADD COLUMN slowest TEXT NOT NULL DEFAULT '[]';

CREATE INDEX operations_unfinished ON operations (id) WHERE ended_at IS NULL;

-- Ended tasks by outcome (its place) and reason (its word): says what the journal says since this version.
CREATE TABLE operation_reasons (
    operation INTEGER NOT NULL REFERENCES operations (id),
    outcome INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    PRIMARY KEY (operation, outcome, reason)
) STRICT, WITHOUT ROWID;

-- What changed how an operation stands, numbered from 0. actor is NULL where the controller did it by itself.
CREATE TABLE operation_events (
    operation INTEGER NOT NULL REFERENCES operations (id),
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    actor TEXT,
    why TEXT NOT NULL,
    PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;

-- Guests that nothing touches. Their mark is in numbers: 'safeguards_epoch' and 'safeguards_revision'.
CREATE TABLE holds (
    guest TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;

-- Users whose sessions are never ended; the mark is that of the holds.
CREATE TABLE protected_users (
    pattern TEXT NOT NULL PRIMARY KEY,
    requester TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- At most one row: the fleet is frozen.
CREATE TABLE freeze (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    requester TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    hard INTEGER NOT NULL
) STRICT;
