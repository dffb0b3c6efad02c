/**
 * Start and stop of something that is opened once: a second `start` gets the first one's promise, `stop` waits for a
 * start under way, both are idempotent (design §1, rule 10).
 */
export function createLifecycle(steps: { readonly start: () => Promise<void>; readonly stop: () => Promise<void> }) {
  let starting: Promise<void> | null = null;
  let stopping: Promise<void> | null = null;
  return {
    start(): Promise<void> {
      if (stopping !== null) return Promise.resolve();
      starting ??= steps.start();
      return starting;
    },
    stop(): Promise<void> {
      stopping ??= (async () => {
        // A start that failed has reported it; what it opened is closed all the same.
        await starting?.catch(() => {});
        await steps.stop();
      })();
      return stopping;
    },
    isStopping: (): boolean => stopping !== null,
  };
}
