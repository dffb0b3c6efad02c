/** More leases than any process holds at a time. */
const MAX_KNOWN = 10_000;

/**
 * Threads of the leases that this process was given, so that they are read by their id. Only a shortcut: a lease that is not here is
 * looked for in the database.
 */
export interface LeaseThreads {
  threadOf(lease: string): string | undefined;
  remember(lease: string, threadId: string): void;
  forget(lease: string): void;
}

export function createLeaseThreads(): LeaseThreads {
  const threads = new Map<string, string>();
  return {
    threadOf: (lease) => threads.get(lease),
    remember(lease, threadId) {
      threads.set(lease, threadId);
      if (threads.size <= MAX_KNOWN) return;
      for (const oldest of threads.keys()) {
        threads.delete(oldest);
        break;
      }
    },
    forget: (lease) => void threads.delete(lease),
  };
}
