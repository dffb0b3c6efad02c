import type { BaseCheckpointSaver, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import type { Checkpointer } from "../core/checkpointer.js";
import { encryptedWithoutKey, sealedTextOf } from "../core/cipher.js";
import { isHeddleError } from "../core/errors.js";
import type { JsonValue } from "../core/json.js";

/**
 * Read the newest checkpoint of a thread, if it has one that this process can read at all.
 * @param isEncrypted by the checkpointer itself: what it gave back is clear, whatever it looks like
 * @throws HeddleError `DECRYPTION_FAILED` when it is encrypted and cannot be opened
 */
export async function readNewestCheckpoint(
  { saver }: Checkpointer,
  threadId: string,
  isEncrypted: boolean,
): Promise<void> {
  let tuple: CheckpointTuple | undefined;
  try {
    tuple = await (saver as BaseCheckpointSaver).getTuple({ configurable: { thread_id: threadId } });
  } catch (error) {
    if (isHeddleError(error) && error.code === "DECRYPTION_FAILED") throw error;
    // What LangGraph for Python has written, for one, matters to whoever asks for that thread.
    return;
  }
  if (isEncrypted) return;
  for (const [channel, value] of Object.entries(tuple?.checkpoint.channel_values ?? {})) {
    if (sealedTextOf(value as JsonValue) !== null) {
      throw encryptedWithoutKey(["checkpoint value", threadId, "", channel], null);
    }
  }
}
