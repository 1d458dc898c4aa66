-- get_version: of the file, from its header; 0 = made before it was written there
PRAGMA user_version;

-- put_version: a pragma takes no parameter, so the number is put in by Python
PRAGMA user_version = %d;

-- begin: a step and its version are one
BEGIN IMMEDIATE;

-- commit: one flush
COMMIT;

-- rollback: the step before stands
ROLLBACK;
