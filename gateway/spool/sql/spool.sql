-- begin: take the write lock at once
BEGIN IMMEDIATE;

-- commit: one flush
COMMIT;

-- rollback: as if nothing was tried
ROLLBACK;

-- limit_pages: the quota; a pragma takes no parameter, so the number is put in by Python
PRAGMA max_page_count = %d;

-- page_count: size of the file in pages, from its header
PRAGMA page_count;

-- free_pages: pages in the file that hold nothing
PRAGMA freelist_count;

-- schema: what the file was set up with
SELECT name, rootpage, sql FROM sqlite_schema ORDER BY rootpage;

-- get_meta: the one row
SELECT version, epoch, next_seq, next_id, segment, boot, last, trusted, unset, estimated, gaps, row_crc
FROM meta WHERE one = 1;

-- put_meta: replace it
INSERT OR REPLACE INTO meta
    (one, version, epoch, next_seq, next_id, segment, boot, last, trusted, unset, estimated, gaps, row_crc)
VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- all_epochs: both copies, in order of sending
SELECT copy, first_id, epoch, first, last, gateway, machine, old_epoch, old_last, why, row_crc
FROM epoch ORDER BY first_id, copy;

-- put_epoch: one copy of a stretch
INSERT OR REPLACE INTO epoch
    (copy, first_id, epoch, first, last, gateway, machine, old_epoch, old_last, why, row_crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- drop_epoch: a stretch of which nothing is left
DELETE FROM epoch WHERE first_id = ?;

-- all_segments: both copies
SELECT copy, number, boot, start, offset_ms, clock, urgent, row_crc FROM segment ORDER BY number, copy;

-- put_segment: one copy
INSERT OR REPLACE INTO segment (copy, number, boot, start, offset_ms, clock, urgent, row_crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- drop_segment: one that no batch names any more
DELETE FROM segment WHERE number = ?;

-- put_batch: append
INSERT INTO batch (id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body, row_crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- get_batch: one by its id
SELECT id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body, row_crc FROM batch WHERE id = ?;

-- some_batches: within closed bounds, rising
SELECT id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body, row_crc
FROM batch WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?;

-- some_urgent: the same, only urgent ones, by their index
SELECT id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body, row_crc
FROM batch INDEXED BY urgent WHERE pri = 1 AND id BETWEEN ? AND ? ORDER BY id LIMIT ?;

-- drop_batches: within closed bounds
DELETE FROM batch WHERE id BETWEEN ? AND ?;

-- first_id: the lowest id; alone it takes one look, together with the highest it would read the whole file
SELECT min(id) FROM batch;

-- last_id: the highest id
SELECT max(id) FROM batch;

-- all_settled: every range
SELECT uplink, epoch, first, last, row_crc FROM settled;

-- put_settled: one range
INSERT OR REPLACE INTO settled (uplink, epoch, first, last, row_crc) VALUES (?, ?, ?, ?, ?);

-- drop_settled: one range
DELETE FROM settled WHERE uplink = ? AND epoch = ? AND first = ?;

-- clear_settled: all ranges, before they are written anew
DELETE FROM settled;

-- all_parked: every one
SELECT epoch, seq, why, row_crc FROM parked;

-- put_parked: park one
INSERT OR REPLACE INTO parked (epoch, seq, why, row_crc) VALUES (?, ?, ?, ?);

-- drop_parked: unpark one, or forget that one that is gone was parked
DELETE FROM parked WHERE epoch = ? AND seq = ?;
