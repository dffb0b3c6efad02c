import type { ExpiredThreadStore } from "../../core/expired-threads.js";
import type { TtlStrategy } from "../../core/thread.js";
import type { ThreadDocument } from "./documents.js";
import { insertOnce } from "./insert-once.js";
import type { Session } from "./session.js";

type Expired = Pick<ThreadDocument, "_id" | "uid" | "rev" | "updatedAt">;

/** Expired threads in MongoDB: their documents go only as they were when they had expired, and when they owe nobody a run's end. */
export function createMongoExpiredThreads(session: Session): ExpiredThreadStore {
  const { threads, runs, blobs, crons, removals } = session;

  const expired = (strategy: TtlStrategy, limit: number): Promise<readonly Expired[]> =>
    session.retrying(() =>
      threads
        .find(
          {
            expiresAt: { $lte: session.now() },
            "ttl.strategy": strategy,
            status: { $ne: "busy" },
            ended: { $size: 0 },
          },
          { projection: { uid: 1, rev: 1, updatedAt: 1 }, sort: { expiresAt: 1 }, limit },
        )
        .toArray(),
    );

  const removeOne = async ({ _id, uid, rev }: Expired): Promise<void> => {
    // The note comes first: whoever finds the id free from here on finds it, too.
    const isNew = await session.retrying(() => insertOnce(removals, { _id, thread: uid, removedAt: session.now() }));
    const gone = await session.inTurn(_id, () => session.retrying(() => threads.deleteOne({ _id, uid, rev })));
    if (gone.deletedCount === 0 && (await session.retrying(() => threads.findOne({ _id, uid }))) !== null) {
      // It was active meanwhile. The note of somebody else is his.
      if (isNew) await session.retrying(() => removals.deleteOne({ _id }));
      return;
    }
    await session.retrying(() => crons.deleteMany({ threadId: _id }));
    await session.retrying(() => runs.deleteMany({ thread: uid }));
    await session.retrying(() => blobs.deleteMany({ thread: uid }));
  };

  return {
    async remove({ limit }) {
      const found = await expired("delete", limit);
      for (const thread of found) await removeOne(thread);
      return found.length;
    },

    /** A note whose thread is still there was left by a crash before the thread was removed. */
    async removed({ limit }) {
      const noted = await session.retrying(() => removals.find({}).sort({ removedAt: 1 }).limit(limit).toArray());
      const ids = noted.map(({ _id }) => _id);
      const kept = await session.retrying(() =>
        threads.find({ _id: { $in: ids } }, { projection: { uid: 1 } }).toArray(),
      );
      const uids = new Set(kept.map(({ uid }) => uid));
      const alive = new Set(noted.filter(({ thread }) => uids.has(thread)).map(({ _id }) => _id));
      if (alive.size > 0) await session.retrying(() => removals.deleteMany({ _id: { $in: [...alive] } }));
      return ids.filter((id) => !alive.has(id));
    },

    async forget({ threadIds }) {
      await session.retrying(() => removals.deleteMany({ _id: { $in: [...threadIds] } }));
    },

    async toPrune({ limit }) {
      return (await expired("keep_latest", limit)).map(({ _id, updatedAt }) => ({ threadId: _id, updatedAt }));
    },

    async pruned({ threadId, updatedAt }) {
      await session.retrying(() => threads.updateOne({ _id: threadId, updatedAt }, { $unset: { expiresAt: "" } }));
    },
  };
}
