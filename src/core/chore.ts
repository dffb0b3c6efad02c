/** What one process at a time does for all: sweeping, looking for due crons. A lease by name, in the database. */
export interface ChoreStore {
  /**
   * Take the lease of a chore, or hold it longer. Who dies with it keeps others waiting until it runs out, by the store's clock.
   * It keeps two from doing the same at once, most of the time: what must not happen twice is fenced by its own statements.
   * @param params.leaseMs from now on; 0 by the holder gives the lease back
   * @returns false while another worker holds it
   */
  claim(params: { readonly name: string; readonly leaseMs: number; readonly workerId: string }): Promise<boolean>;
}
