import type { EpochMs, JsonText } from "../../core/json.js";
import type { ThreadStatePatch } from "../../core/thread.js";
import type { SettledStatus } from "../run-rules.js";
import { readBlobs, storeText, textOf } from "./blobs.js";
import type { StoredText, ThreadDocument } from "./documents.js";
import type { Session } from "./session.js";
import type { ThreadChange } from "./thread-change.js";

/** How often a reader follows a state that changes under its hands. */
const MAX_READS = 10;

/** A thread's state columns as a run's end or a state update leaves them. */
export interface SettledState {
  /** Large texts are written now, and count once the change does; if it never does, they are swept. */
  changeFor(
    thread: Pick<ThreadDocument, "_id" | "uid">,
    settledStatus: SettledStatus,
    now: EpochMs,
  ): Promise<ThreadChange>;
}

export function settledState(
  session: Session,
  params: { readonly patch: ThreadStatePatch; readonly runError: JsonText | string | null },
): SettledState {
  const { patch, runError } = params;
  const written = new Map<string, { readonly uid: string; readonly stored: StoredText }>();

  const store = async (
    field: "values" | "interrupts" | "error",
    text: string | null | undefined,
    thread: Pick<ThreadDocument, "_id" | "uid">,
  ): Promise<StoredText | undefined> => {
    if (text === undefined || text === null) return undefined;
    const known = written.get(field);
    if (known?.uid === thread.uid) return known.stored;
    const stored = await storeText(session, { field, text, thread });
    written.set(field, { uid: thread.uid, stored });
    return stored;
  };

  return {
    async changeFor(thread, settledStatus, now) {
      const values = await store("values", patch.values, thread);
      const interrupts = await store("interrupts", patch.interrupts, thread);
      const error = await store("error", settledStatus === "error" ? (patch.error ?? runError) : null, thread);
      return {
        settledStatus,
        updatedAt: now,
        ...(values === undefined ? {} : { values, stateUpdatedAt: now }),
        ...(interrupts === undefined ? {} : { interrupts }),
        // A failure without an error of its own keeps the one before.
        ...(error === undefined ? (settledStatus === "error" ? {} : { error: null }) : { error }),
      };
    },
  };
}

export type ThreadTexts = Readonly<Record<"values" | "interrupts" | "error", JsonText | null>>;

/** The texts of a thread that was read with them. Read again when a newer state has replaced one of them meanwhile. */
export async function readTexts(
  session: Session,
  thread: ThreadDocument,
): Promise<{ readonly thread: ThreadDocument; readonly texts: ThreadTexts } | null> {
  let current: ThreadDocument | null = thread;
  for (let reads = 0; current !== null && reads < MAX_READS; reads += 1) {
    const { values, interrupts, error }: ThreadDocument = current;
    const blobs = await readBlobs(session, [values, interrupts, error]);
    const texts = { values: textOf(values, blobs), interrupts: textOf(interrupts, blobs), error: textOf(error, blobs) };
    if (isComplete(texts)) return { thread: current, texts };
    current = await session.retrying(() => session.threads.findOne({ _id: thread._id, uid: thread.uid }));
  }
  if (current === null) return null;
  throw new TypeError(`A part of the state of thread ${thread._id} is missing in the database`);
}

function isComplete(texts: Readonly<Record<keyof ThreadTexts, JsonText | null | undefined>>): texts is ThreadTexts {
  return texts.values !== undefined && texts.interrupts !== undefined && texts.error !== undefined;
}
