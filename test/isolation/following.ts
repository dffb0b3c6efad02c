import { v7 } from "uuid";
import type { OpenAnswer, User } from "./served.js";
import type { Ids } from "./things.js";

/** What a follower can tell. */
export function following(stream: OpenAnswer, plain: (text: string) => string) {
  return { status: stream.status, text: plain(stream.text()), isOver: stream.isOver() };
}

/** A thread of the owner that has run, and runs once more while others follow it. */
export async function activeOwner(owner: User, { assistantId }: Ids) {
  const threadId = v7();
  await owner.json("POST", "/threads", { thread_id: threadId });
  const run = { assistant_id: assistantId, input: { messages: [{ role: "user", content: "hi", id: "m1" }] } };
  await owner.json("POST", `/threads/${threadId}/runs/wait`, run);
  return {
    busyThread: threadId,
    /** Runs, and resolves when a follower who may see it has been told. */
    async goOn(): Promise<void> {
      const told = await owner.open("POST", {
        path: `/threads/${threadId}/stream/events`,
        body: { channels: ["lifecycle", "values"] },
      });
      await owner.json("POST", `/threads/${threadId}/runs/wait`, run);
      for (let tries = 0; !told.text().includes('"event":"completed"'); tries += 1) {
        if (tries > 1_000) throw new Error(`the owner is told nothing: ${told.text()}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      told.close();
    },
  };
}
