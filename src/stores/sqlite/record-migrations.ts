/** Tables of records. Only ever append to this list. */
export const RECORD_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE records (
  id INTEGER PRIMARY KEY,
  space TEXT NOT NULL,
  owner TEXT NOT NULL,
  collection TEXT NOT NULL,
  record_key TEXT NOT NULL,
  version INTEGER NOT NULL,
  -- order of creation among the owner's
  sequence INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- where there is no value: of its end
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  tracked INTEGER NOT NULL,
  disposable INTEGER NOT NULL,
  -- JSON object
  labels TEXT NOT NULL,
  -- null: it is gone, and only its version is left
  record_value TEXT
);
CREATE UNIQUE INDEX records_by_place ON records (space, owner, collection, record_key);
CREATE INDEX records_by_sequence ON records (space, owner, sequence);
CREATE INDEX records_by_collection ON records (space, owner, collection, sequence);
CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX records_gone ON records (updated_at) WHERE record_value IS NULL;

-- digests of an owner's labels
CREATE TABLE record_labels (
  digest BLOB NOT NULL,
  record INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
  PRIMARY KEY (digest, record)
) WITHOUT ROWID;
CREATE INDEX record_labels_by_record ON record_labels (record);

CREATE TABLE record_changes (
  id INTEGER PRIMARY KEY,
  record INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  previous TEXT,
  record_value TEXT,
  changed_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX record_changes_by_version ON record_changes (record, version);
CREATE INDEX record_changes_by_time ON record_changes (changed_at);
`,
];
