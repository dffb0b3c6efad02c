import * as vitest from "vitest";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";

const registry = createCheckpointerRegistry();

// FerretDB reads a whole collection for every query that is not by `_id`: hence the short list.
vitest.describe.skipIf(!hasMongo())("MongoDB", () => {
  testCheckpointer({
    vitest,
    name: "mongodb:",
    listLength: 200,
    async open() {
      const { uri, drop } = await createMongoDatabase();
      const opened: Checkpointer[] = [];
      const open = async (): Promise<Checkpointer> => {
        const checkpointer = await registry.open(uri, { cwd: "." });
        opened.push(checkpointer);
        return checkpointer;
      };
      return {
        checkpointer: await open(),
        async reopen() {
          await opened.at(-1)?.close();
          return open();
        },
        async close() {
          for (const checkpointer of opened) await checkpointer.close();
          await drop();
        },
      };
    },
  });
});
