import type { Client } from "@langchain/langgraph-sdk";

/** The statuses of a thread's runs, newest first, once they are all these or after ten seconds. */
export async function runStatuses(client: Client, threadId: string, wanted: string): Promise<readonly string[]> {
  let statuses: readonly string[] = [];
  for (let i = 0; i < 1_000; i++) {
    statuses = (await client.runs.list(threadId)).map(({ status }) => status);
    if (statuses.length > 0 && statuses.every((status) => status === wanted)) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return statuses;
}
