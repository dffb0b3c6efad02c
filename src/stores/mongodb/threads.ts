import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import type { ThreadStore } from "../../core/metadata-store.js";
import type { Thread } from "../../core/thread.js";
import type { ThreadDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import { parseObject, showsMetadata, threadOf } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision, newThread } from "./thread-change.js";
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
    async create({ threadId, metadata, config, access }) {
      const texts = { metadata: toJsonText(metadata), config: toJsonText(config ?? {}) };
      const thread = newThread({ threadId, ...texts, temporary: false, now: session.now() });
      if (await session.retrying(() => insertOnce(threads, thread))) {
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

    async update({ threadId, metadata, access }) {
      const isShown = await changeThread(session, { threadId }, (thread): Decision<boolean> => {
        if (thread === null || !showsMetadata(access, thread.metadata)) return { kind: "leave", result: false };
        const merged = metadata === undefined ? {} : { metadata: mergedText(thread, metadata) };
        return { kind: "change", change: { updatedAt: session.now(), ...merged }, result: true };
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
      await session.inTurn(threadId, () => session.retrying(() => threads.deleteOne({ _id: threadId, uid })));
      await session.retrying(() => runs.deleteMany({ thread: uid }));
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

function mergedText(thread: ThreadDocument, metadata: Thread["metadata"]): string {
  return toJsonText({ ...parseObject(thread.metadata), ...metadata });
}
