/** Something that is opened once. */
export interface Lifecycle<Stop extends readonly unknown[] = []> {
  start(): Promise<void>;
  stop(...options: Stop): Promise<void>;
  /** A stop was asked for. */
  isStopping(): boolean;
}

/**
 * Start and stop of something that is opened once: a second `start` gets the first one's promise, `stop` waits for a
 * start under way, both are idempotent (design §1, rule 10). A start that failed may be tried again; after a `stop` it
 * does nothing.
 */
export function createLifecycle<Stop extends readonly unknown[] = []>(steps: {
  readonly start: () => Promise<void>;
  readonly stop: (...options: Stop) => Promise<void>;
}): Lifecycle<Stop> {
  let starting: Promise<void> | null = null;
  let stopping: Promise<void> | null = null;
  return {
    start() {
      if (stopping !== null) return Promise.resolve();
      starting ??= steps.start().catch((error: unknown) => {
        starting = null;
        throw error;
      });
      return starting;
    },
    stop(...options) {
      stopping ??= (async () => {
        // A start that failed has reported it; what it opened is closed all the same.
        await starting?.catch(() => {});
        await steps.stop(...options);
      })();
      return stopping;
    },
    isStopping: () => stopping !== null,
  };
}
