-- meta: one row: what every transaction moves on
CREATE TABLE meta (
    one INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    next_id INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    boot TEXT NOT NULL,
    last INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    unset INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    gaps INTEGER NOT NULL,
    row_crc INTEGER NOT NULL
) STRICT;

-- epoch: one row, twice, for each stretch of an epoch whose ids rise with its seqs
CREATE TABLE epoch (
    copy INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    machine TEXT NOT NULL,
    old_epoch TEXT NOT NULL,
    old_last INTEGER NOT NULL,
    why TEXT NOT NULL,
    row_crc INTEGER NOT NULL,
    PRIMARY KEY (copy, first_id)
) STRICT, WITHOUT ROWID;

-- segment: offsets of boot time to UTC, twice, so that one flip costs nothing
CREATE TABLE segment (
    copy INTEGER NOT NULL,
    number INTEGER NOT NULL,
    boot TEXT NOT NULL,
    start INTEGER NOT NULL,
    offset_ms INTEGER,
    clock TEXT NOT NULL,
    urgent INTEGER NOT NULL,
    row_crc INTEGER NOT NULL,
    PRIMARY KEY (copy, number)
) STRICT, WITHOUT ROWID;

-- batch: the log itself; id rises over all epochs and is the order of sending
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    clock TEXT NOT NULL,
    b0 INTEGER NOT NULL,
    last INTEGER NOT NULL,
    n INTEGER NOT NULL,
    pri INTEGER NOT NULL,
    enc TEXT NOT NULL,
    of TEXT NOT NULL,
    body BLOB NOT NULL,
    row_crc INTEGER NOT NULL
) STRICT;

-- urgent: the few that go first, found without reading the others
CREATE INDEX urgent ON batch (pri) WHERE pri = 1;

-- settled: seqs an uplink has a receipt for; uplink 0 = seqs whose batch is rightly no longer here
CREATE TABLE settled (
    uplink INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    row_crc INTEGER NOT NULL,
    PRIMARY KEY (uplink, epoch, first)
) STRICT, WITHOUT ROWID;

-- parked: pending batches that are not offered
CREATE TABLE parked (
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    why TEXT NOT NULL,
    row_crc INTEGER NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
