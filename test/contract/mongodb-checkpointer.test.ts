import * as vitest from "vitest";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import { testCheckpointer } from "../../src/testing/checkpointer.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { reopenable } from "./checkpointer-factories.js";

const registry = createCheckpointerRegistry();

// FerretDB reads a whole collection for every query that is not by `_id`: hence the short list.
vitest.describe.skipIf(!hasMongo())("MongoDB", () => {
  testCheckpointer({
    vitest,
    name: "mongodb:",
    listLength: 200,
    async open() {
      const { uri, drop } = await createMongoDatabase();
      return reopenable(() => registry.open(uri, { cwd: "." }), drop);
    },
  });
});
