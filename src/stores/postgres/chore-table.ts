/** Table of leases by name: what one process at a time does for all. */
export const CHORE_TABLE = `
CREATE TABLE heddle_chores (
  name text COLLATE "C" PRIMARY KEY,
  worker_id text COLLATE "C" NOT NULL,
  lease_until bigint NOT NULL
);
`;
