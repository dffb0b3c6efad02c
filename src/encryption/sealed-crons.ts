import type { Cipher } from "../core/cipher.js";
import type { ClaimedCron, CronStore } from "../core/cron.js";
import type { Logger } from "../core/logger.js";
import { openCron, openRun, PLACES, sealCron, sealKwargs, sealObject } from "./sealed-rows.js";

/** Crons whose payload and creator are sealed; schedule, times and metadata are what the store looks at. */
export function sealedCrons(store: CronStore, cipher: Cipher, logger: Pick<Logger, "warn">): CronStore {
  return {
    async create({ draft }) {
      const outcome = await store.create({ draft: sealCron(cipher, draft.cronId, draft) });
      return outcome.kind === "created" ? { ...outcome, cron: openCron(cipher, outcome.cron) } : outcome;
    },
    async get(params) {
      const cron = await store.get(params);
      return cron && openCron(cipher, cron);
    },
    async update({ cronId, change, ...rest }) {
      const { payload, ...clear } = change;
      // Only what is stored tells who created it.
      const sealed =
        payload === undefined
          ? clear
          : { ...clear, payload: sealCron(cipher, cronId, { payload, creator: { kind: "server" } }).payload };
      const outcome = await store.update({ cronId, change: sealed, ...rest });
      return outcome.kind === "updated" ? { ...outcome, cron: openCron(cipher, outcome.cron) } : outcome;
    },
    async delete(params) {
      const cron = await store.delete(params);
      return cron && openCron(cipher, cron);
    },
    async search(params) {
      const { rows, total } = await store.search(params);
      return { rows: rows.map((cron) => openCron(cipher, cron)), total };
    },
    count: (params) => store.count(params),
    async claimDue(params) {
      const opened: ClaimedCron[] = [];
      for (const claimed of await store.claimDue(params)) {
        try {
          opened.push({ ...claimed, cron: openCron(cipher, claimed.cron) });
        } catch (error) {
          // Its claim runs out; whoever has the key may have it then.
          logger.warn({ err: error, cronId: claimed.cron.cronId }, "a cron cannot be decrypted, and does not start");
        }
      }
      return opened;
    },
    nextDueAt: () => store.nextDueAt(),
    async fire({ draft, ...rest }) {
      const { runId, threadId, kwargs, assistantConfig } = draft;
      const answer = await store.fire({
        draft: {
          ...draft,
          kwargs: sealKwargs(cipher, runId, kwargs),
          assistantConfig: sealObject(cipher, assistantConfig, PLACES.thread(threadId, "config")),
        },
        ...rest,
      });
      if (answer.kind === "lost" || answer.outcome.kind !== "created") return answer;
      return { ...answer, outcome: { ...answer.outcome, run: openRun(cipher, answer.outcome.run) } };
    },
    skip: (params) => store.skip(params),
  };
}
