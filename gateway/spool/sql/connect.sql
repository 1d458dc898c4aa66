-- locking_mode: before the first access (auto_vacuum is one), so that no -shm file is made (opening it on a full disk dies of SIGBUS)
PRAGMA locking_mode = EXCLUSIVE;

-- page_size: larger pages only write more
PRAGMA page_size = 4096;

-- auto_vacuum: the file is ours; its free pages are used again
PRAGMA auto_vacuum = 0;

-- journal_mode: one flush a transaction
PRAGMA journal_mode = WAL;

-- synchronous: NORMAL loses stored batches at a power cut
PRAGMA synchronous = FULL;

-- secure_delete: Debian builds with it on; it writes up to 64 % more
PRAGMA secure_delete = OFF;

-- wal_autocheckpoint: pages; the WAL is never truncated: it is the room to work in on a full disk
PRAGMA wal_autocheckpoint = 1000;

-- cache_size: KiB
PRAGMA cache_size = -2000;
