import { isHeddleError } from "../../core/errors.js";
import type { Logger } from "../../core/logger.js";
import { createSourceWatcher, type SourceWatcher } from "./source-watcher.js";

/** What was made of a module of the user's project. */
export interface Version {
  /** Absolute paths of every local file that took part. */
  readonly inputs: ReadonlySet<string>;
}

/** The newest version that works. */
export interface WatchedVersion<V extends Version> {
  current(): V;
  /** Ends the watch; the current version stays. */
  close(): Promise<void>;
}

/**
 * Load a module again whenever its sources change: one load at a time. A version that fails is reported, and the one before stays in
 * force.
 * @param params.name in messages: `auth`
 * @param params.load `version` counts from 1; rejects as `loadExport` does
 * @param params.retire what to do with a version that has been replaced
 */
export async function watchVersion<V extends Version>(params: {
  readonly name: string;
  readonly first: V;
  readonly load: (version: number) => Promise<V>;
  readonly retire?: (version: V) => Promise<void>;
  readonly logger: Logger;
}): Promise<WatchedVersion<V>> {
  const { name, first, load, retire, logger } = params;
  let current = first;
  let count = 0;
  let working: Promise<void> = Promise.resolve();
  let closed = false;
  const reload = async (watcher: SourceWatcher): Promise<void> => {
    if (closed) return;
    const since = Date.now();
    count += 1;
    let { inputs } = current;
    let failed = false;
    try {
      const before = current;
      current = await load(count);
      ({ inputs } = current);
      await retire?.(before);
      logger.info({}, `Reloaded ${name}`);
    } catch (error) {
      failed = true;
      const more = isHeddleError(error) ? error.details?.["inputs"] : undefined;
      if (more instanceof Set) inputs = new Set([...inputs, ...(more as ReadonlySet<string>)]);
      logger.error({ err: error }, `${name} could not be loaded again: its former version stays in force`);
    }
    await watcher.follow(inputs, { since, anyFile: failed });
  };
  const watcher: SourceWatcher = createSourceWatcher({
    logger,
    onChange: () => {
      working = working.then(() => reload(watcher));
    },
  });
  await watcher.follow(first.inputs, { since: Date.now(), anyFile: false });
  return {
    current: () => current,
    async close() {
      closed = true;
      watcher.close();
      await working;
    },
  };
}
