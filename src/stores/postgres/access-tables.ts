/** Tables of API keys and stream tickets. Neither holds a secret, only SHA-256 digests. */
export const ACCESS_TABLES = `
CREATE TABLE heddle_api_keys (
  key_id text COLLATE "C" PRIMARY KEY,
  digest text COLLATE "C" NOT NULL,
  label text NOT NULL,
  identity text NOT NULL,
  tenant text,
  -- JSON array
  permissions text NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint
);
CREATE INDEX heddle_api_keys_by_digest ON heddle_api_keys (digest);

-- Not logged: a ticket is of use for less than a minute, and a client whose ticket is gone asks for another.
CREATE UNLOGGED TABLE heddle_stream_tickets (
  digest text COLLATE "C" PRIMARY KEY,
  caller text NOT NULL,
  thread_id text COLLATE "C",
  expires_at bigint NOT NULL
);
CREATE INDEX heddle_stream_tickets_by_expires_at ON heddle_stream_tickets (expires_at);
`;
