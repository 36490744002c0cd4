-- Bodies in columns: what targets and outcomes have in common is said once. Older bodies stay as they are and are read.

-- What hosts' agents said of their ledgers since it was last folded into hosts: one row for up to 256 hosts of a
-- transaction, numbered without gaps. What a later row says of a host stands.
CREATE TABLE ledger_marks (
    seq INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Up to which chunk the journal of an operation that has ended is packed, one row for each; NULL: all of it.
ALTER TABLE operations ADD COLUMN packed INTEGER DEFAULT 0;

CREATE INDEX operations_to_pack ON operations (id) WHERE state = 3 AND packed IS NOT NULL;
