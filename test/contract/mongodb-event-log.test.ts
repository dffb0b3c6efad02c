import * as vitest from "vitest";
import { openMongoEventStorage } from "../../src/streaming/mongodb-event-storage.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { type StoredEventLogSuite, testEventStorage, testStoredEventLog } from "./stored-event-log-suite.js";

const databases: Awaited<ReturnType<typeof createMongoDatabase>>[] = [];
vitest.afterAll(async () => {
  for (const { drop } of databases) await drop();
});

// FerretDB reads a whole collection for every query that is not by `_id` alone.
const manyRuns = 50;

const place: StoredEventLogSuite["place"] = async () => {
  const database = await createMongoDatabase();
  databases.push(database);
  return (clock) => openMongoEventStorage(database.uri, { cwd: ".", clock });
};

vitest.describe.skipIf(!hasMongo())("MongoDB", () => {
  testStoredEventLog("MongoDB", { place, manyRuns });
  testEventStorage("MongoDB", { place });
  testStoredEventLog("MongoDB, nothing stays in memory", { place, manyRuns, hotBytes: 0, lingerMs: 0 });
});
