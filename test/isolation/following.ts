import { v7 } from "uuid";
import type { OpenAnswer, User } from "./served.js";
import type { Ids } from "./things.js";

/** What a follower can tell. */
export function following(stream: OpenAnswer, plain: (text: string) => string) {
  return { status: stream.status, text: plain(stream.text()), isOver: stream.isOver() };
}

/**
 * A thread of the owner that has run, and runs once more and is deleted while others follow it; beside it a value of the State Store that
 * is set, set again and deleted.
 */
export async function activeOwner(owner: User, { assistantId }: Pick<Ids, "assistantId">, threadId = v7()) {
  await owner.json("POST", "/threads", { thread_id: threadId });
  const run = { assistant_id: assistantId, input: { messages: [{ role: "user", content: "hi", id: "m1" }] } };
  await owner.json("POST", `/threads/${threadId}/runs/wait`, run);
  const stateWorkflow = v7();
  const value = `/state-store/v1/state/${stateWorkflow}/k`;
  await owner.json("POST", value, { value: "first" });
  return {
    threadId,
    stateWorkflow,
    /** Runs, and goes: resolves when a follower who may see it has been told of both. */
    async goOn(): Promise<void> {
      const told = await owner.open("POST", {
        path: `/threads/${threadId}/stream/events`,
        body: { channels: ["lifecycle", "values"] },
      });
      await owner.json("POST", `/threads/${threadId}/runs/wait`, run);
      await until(() => told.text().includes('"event":"completed"'), "the end of the run");
      await owner.json("DELETE", `/threads/${threadId}`);
      await until(told.isOver, "the end of the thread");
      const changes = await owner.open("GET", { path: `${value}/stream` });
      await owner.json("POST", value, { value: "second" });
      await owner.json("DELETE", value);
      await until(() => changes.text().includes('"newValue":null'), "the end of the value");
      changes.close();
    },
  };
}

async function until(isDone: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !isDone(); tries += 1) {
    if (tries > 1_000) throw new Error(`the owner is not told of ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
