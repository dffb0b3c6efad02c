import type { BaseCheckpointSaver, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import type { Checkpointer } from "../core/checkpointer.js";
import { encryptedWithoutKey, sealedTextOf } from "../core/cipher.js";
import { type HeddleError, isHeddleError } from "../core/errors.js";
import type { JsonValue } from "../core/json.js";

/**
 * Read the newest checkpoint of a thread, if it has one that this process can read at all.
 * @param isEncrypted by the checkpointer itself: what it gave back is clear, whatever it looks like
 * @returns what looks encrypted, as anybody can make a value look
 * @throws HeddleError `DECRYPTION_FAILED` when it is encrypted and cannot be opened
 */
export async function readNewestCheckpoint(
  { saver }: Checkpointer,
  threadId: string,
  isEncrypted: boolean,
): Promise<HeddleError | null> {
  let tuple: CheckpointTuple | undefined;
  try {
    tuple = await (saver as BaseCheckpointSaver).getTuple({ configurable: { thread_id: threadId } });
  } catch (error) {
    if (isHeddleError(error) && error.code === "DECRYPTION_FAILED") {
      if (isEncrypted) throw error;
      return error;
    }
    // What LangGraph for Python has written, for one, matters to whoever asks for that thread.
    return null;
  }
  if (isEncrypted) return null;
  for (const [channel, value] of Object.entries(tuple?.checkpoint.channel_values ?? {})) {
    if (sealedTextOf(value as JsonValue) !== null) {
      return encryptedWithoutKey(["checkpoint value", threadId, "", channel], null);
    }
  }
  return null;
}
