import { createStoreRegistry } from "../../../src/stores/registry.js";
import { Settling, type SettlingDeps } from "../../../src/protocols/snapstate/settling.js";
import { dueKey } from "../../../src/protocols/snapstate/places.js";

/** The records of a storage that a server uses at the same time. */
export async function openRecords(uri: string) {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
  return {
    /** Let a workflow of `ann` be due now, as if nobody had looked at it for long. */
    async expire(workflowId: string): Promise<void> {
      const due = dueKey({ owner: "id:ann", workflowId });
      const found = await metadata.records.get(due);
      if (found === null) throw new Error(`nothing is known of ${workflowId}`);
      await metadata.records.write({ ...due, expected: found.version, value: found.value, ttlMs: 1 });
    },
    close: () => metadata.close(),
  };
}

/** All of them, a workflow's settling over them, and a look at them again and again. */
export async function openRows(uri: string) {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const { metadata } = await createStoreRegistry([]).open(uri, { cwd: process.cwd(), logger });
  const { records, threads } = metadata;
  return {
    records,
    threads,
    // What is asked of it here is about records only.
    settling: new Settling({ records, logger } as Partial<SettlingDeps> as SettlingDeps),
    /** @param look until it says true. At most 20 s */
    async watch(look: () => Promise<boolean>): Promise<void> {
      for (const end = Date.now() + 20_000; Date.now() < end && !(await look());) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    close: () => metadata.close(),
  };
}
