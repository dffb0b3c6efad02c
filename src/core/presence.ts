/**
 * Which workers live, known faster than their leases expire: on Postgres by a session lock that the database drops with the
 * dead process's connection. A hint like every notification: a wrong answer costs an attempt, never a double write, because
 * leases fence.
 */
export interface Presence {
  /** Show that this worker lives, until `close` or the end of the process; taken up again after a lost connection. */
  join(workerId: string): Promise<void>;
  /**
   * Workers that hold running runs, have joined once, and were seen absent long enough not to be reconnecting. Workers that
   * never joined are not named: their leases decide.
   */
  gone(): Promise<ReadonlySet<string>>;
  /**
   * How many other workers there were at the last look, those included that were absent; `null`: nobody can tell, or somebody
   * has joined since.
   */
  readonly others: number | null;
  /** Leave. Idempotent. */
  close(): Promise<void>;
}
