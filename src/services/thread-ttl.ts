import type { Clock } from "../core/clock.js";
import { delegating } from "../core/delegating.js";
import { isHeddleError } from "../core/errors.js";
import type { MetadataStore, NewRun } from "../core/metadata-store.js";
import type { ThreadTtl } from "../core/thread.js";

/** What there is left of one thread goes within milliseconds, unless a process died over it. */
const WAIT_MS = 2_000;
const LOOK_MS = 50;

/**
 * A store whose new threads live as long as is configured, unless somebody says otherwise: those that clients make, and those that
 * runs and crons make. The hidden threads of stateless runs go with these anyway. Who makes a thread whose id an expired one has
 * just had waits a moment until nothing is left of that.
 * @param ttl `null`: they live until somebody deletes them
 */
export function withThreadTtl(store: MetadataStore, ttl: ThreadTtl | null, clock: Clock): MetadataStore {
  const { threads, runs, crons } = store;
  const expiring = (draft: NewRun): NewRun =>
    ttl === null || !draft.createThread || draft.kwargs.temporary ? draft : { threadTtl: ttl, ...draft };
  const withoutRemoval = async <T>(make: () => Promise<T>): Promise<T> => {
    const until = clock.now() + WAIT_MS;
    for (;;) {
      try {
        return await make();
      } catch (error) {
        const isRemoved = isHeddleError(error) && error.code === "THREAD_BUSY" && error.details?.["removing"] === true;
        if (!isRemoved || clock.now() >= until) throw error;
      }
      await new Promise<void>((resolve) => void clock.setTimer(resolve, LOOK_MS));
    }
  };
  return delegating(store, {
    threads: delegating(threads, {
      create: (params) => withoutRemoval(() => threads.create(ttl === null ? params : { ttl, ...params })),
    }),
    runs: delegating(runs, {
      create: (params) => withoutRemoval(() => runs.create({ ...params, draft: expiring(params.draft) })),
    }),
    crons: delegating(crons, {
      fire: (params) => crons.fire({ ...params, draft: expiring(params.draft) }),
    }),
  });
}
