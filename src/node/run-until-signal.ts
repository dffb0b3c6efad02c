/** Conventional exit code of a process that a signal ended. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof EXIT_CODES;

/**
 * Wait for SIGINT or SIGTERM, then stop in good order. A second signal, of either kind, ends the process at once.
 * @param params.stop called once; what it throws is passed on
 * @param params.until an end that comes from elsewhere, e.g. a fatal error; `stop` is called for it too
 * @returns what ended the wait, after `stop` has finished
 */
export async function runUntilSignal(params: {
  stop(reason: StopSignal | "ended"): Promise<void>;
  readonly until?: Promise<unknown>;
}): Promise<StopSignal | "ended"> {
  const signals = Object.keys(EXIT_CODES) as StopSignal[];
  let first: ((signal: StopSignal) => void) | null = null;
  const received = new Promise<StopSignal>((resolve) => {
    first = resolve;
  });
  const onSignal = (signal: StopSignal) => {
    if (first === null) process.exit(EXIT_CODES[signal]);
    first(signal);
    first = null;
  };
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const ended = params.until?.then(() => "ended" as const);
    const reason = await (ended === undefined ? received : Promise.race([received, ended]));
    first = null;
    await params.stop(reason);
    return reason;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}
