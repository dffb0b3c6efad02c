import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import type { ThreadStore } from "../../core/metadata-store.js";
import type { Thread } from "../../core/thread.js";
import type { ThreadDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import { parseObject, showsMetadata, threadOf } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision, newThread, refuseRemoved } from "./thread-change.js";
import { countThreads, searchThreads } from "./thread-search.js";
import { readTexts, settledState } from "./thread-state.js";

/** Threads in MongoDB. */
export function createMongoThreads(session: Session): ThreadStore {
  const { threads, runs, blobs } = session;

  const read = (threadId: string): Promise<ThreadDocument | null> =>
    session.retrying(() => threads.findOne({ _id: threadId }, { projection: { queue: 0, ended: 0, terms: 0 } }));

  /** The row, with its state. */
  const rowOf = async (document: ThreadDocument): Promise<Thread | null> => {
    const found = await readTexts(session, document);
    return found === null ? null : threadOf(found.thread, found.texts);
  };

  const visible = async (threadId: string, access: AccessFilter): Promise<ThreadDocument | null> => {
    const document = await read(threadId);
    return document !== null && showsMetadata(access, document.metadata) ? document : null;
  };

  return {
    async create({ threadId, metadata, config, ttl, access }) {
      const texts = { metadata: toJsonText(metadata), config: toJsonText(config ?? {}) };
      const thread = newThread({ threadId, ...texts, temporary: false, ttl, now: session.now() });
      if (await session.retrying(() => insertOnce(threads, thread))) {
        await refuseRemoved(session, thread);
        return { kind: "created", thread: threadOf(thread) };
      }
      const existing = await visible(threadId, access);
      // It is this very one when the answer to a first insert was lost.
      if (existing?.uid === thread.uid) return { kind: "created", thread: threadOf(existing) };
      return { kind: "exists", thread: existing === null ? null : await rowOf(existing) };
    },

    async get({ threadId, access }) {
      const document = await visible(threadId, access);
      return document === null ? null : rowOf(document);
    },

    async update({ threadId, metadata, ttl, access }) {
      const isShown = await changeThread(session, { threadId }, (thread): Decision<boolean> => {
        if (thread === null || !showsMetadata(access, thread.metadata)) return { kind: "leave", result: false };
        const expiry = ttl === undefined ? {} : { ttl };
        const merged = metadata === undefined ? {} : { metadata: mergedText(thread, metadata) };
        return { kind: "change", change: { updatedAt: session.now(), ...merged, ...expiry }, result: true };
      });
      const document = isShown ? await read(threadId) : null;
      return document === null ? null : rowOf(document);
    },

    async watch({ threadId, access }) {
      const known = await session.retrying(() =>
        threads.findOne({ _id: threadId }, { projection: { metadata: 1, watched: 1 } }),
      );
      if (known?.watched === true) return showsMetadata(access, known.metadata);
      return changeThread(session, { threadId }, (thread): Decision<boolean> => {
        if (thread === null || !showsMetadata(access, thread.metadata)) return { kind: "leave", result: false };
        return { kind: "change", change: { watched: true }, result: true };
      });
    },

    async delete({ threadId, access }) {
      const document = await visible(threadId, access);
      if (document === null) return null;
      const row = (await rowOf(document)) ?? threadOf(document);
      const { uid } = document;
      // Then nothing of it is visible any more; what a crash leaves is swept.
      await session.inTurn(threadId, () => removeSettled(session, threadId, uid));
      await session.retrying(() => runs.deleteMany({ thread: uid }));
      await session.retrying(() => session.crons.deleteMany({ threadId }));
      await session.retrying(() => blobs.deleteMany({ thread: uid }));
      return row;
    },

    search: ({ limit, offset, sortBy, sortOrder, withState, ...query }) =>
      searchThreads(session, query, { limit, offset, sortBy, sortOrder, withState }),

    count: (query) => countThreads(session, query),

    async patchState({ threadId, patch, hasNext, metadata }) {
      const state = settledState(session, { patch, runError: null });
      const exists = await changeThread(session, { threadId }, async (thread): Promise<Decision<boolean>> => {
        if (thread === null || thread.status === "busy") return { kind: "leave", result: thread !== null };
        const change = {
          ...(await state.changeFor(thread, hasNext ? "interrupted" : "idle", session.now())),
          ...(metadata === undefined ? {} : { metadata: mergedText(thread, metadata) }),
        };
        return { kind: "change", change, result: true };
      });
      const document = exists ? await read(threadId) : null;
      return document === null ? null : rowOf(document);
    },
  };
}

/** How often a thread that ends more runs meanwhile is looked at again. */
const MAX_LOOKS = 20;

/** Remove the document, but not before somebody is told of runs that it says have ended: their deliveries outlive it. */
async function removeSettled(session: Session, threadId: string, uid: string): Promise<void> {
  const { threads, outbox } = session;
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const found = await session.retrying(() => threads.findOne({ _id: threadId, uid }, { projection: { ended: 1 } }));
    if (found === null) return;
    const told = found.ended.filter(({ webhook }) => webhook !== undefined);
    if (told.length > 0) await outbox.settle([{ threadId, ended: told }]);
    // FerretDB 1.24 does not look into arrays for what is missing: the whole list is compared.
    const rest = found.ended.filter(({ webhook }) => webhook === undefined);
    const filter = { _id: threadId, uid, ended: [...rest] };
    const { deletedCount } = await session.retrying(() => threads.deleteOne(filter));
    if (deletedCount > 0) return;
  }
  await session.retrying(() => threads.deleteOne({ _id: threadId, uid }));
}

function mergedText(thread: ThreadDocument, metadata: Thread["metadata"]): string {
  return toJsonText({ ...parseObject(thread.metadata), ...metadata });
}
