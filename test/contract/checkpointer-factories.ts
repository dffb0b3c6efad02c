import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import type { Checkpointer } from "../../src/core/checkpointer.js";

/**
 * A checkpointer of the contract suite that can be opened again, as after a restart.
 * @param open opens what the suite is to test
 * @param cleanUp after all that was opened is closed
 */
export async function reopenable(open: () => Promise<Checkpointer>, cleanUp: () => Promise<void> = async () => {}) {
  const opened: Checkpointer[] = [];
  const remember = async (): Promise<Checkpointer> => {
    const checkpointer = await open();
    opened.push(checkpointer);
    return checkpointer;
  };
  return {
    checkpointer: await remember(),
    async reopen() {
      await opened.at(-1)?.close();
      return remember();
    },
    async close() {
      for (const checkpointer of opened) await checkpointer.close();
      await cleanUp();
    },
  };
}

/** What LangChain's suite makes its savers with. @param open a fresh, empty checkpointer; its `close` also removes what it made */
export function initializerOf(checkpointerName: string, open: () => Promise<Checkpointer>) {
  const opened = new Map<BaseCheckpointSaver, Checkpointer>();
  return {
    checkpointerName,
    async createCheckpointer() {
      const checkpointer = await open();
      const saver = checkpointer.saver as BaseCheckpointSaver;
      opened.set(saver, checkpointer);
      return saver;
    },
    async destroyCheckpointer(saver: BaseCheckpointSaver) {
      await opened.get(saver)?.close();
      opened.delete(saver);
    },
  };
}
