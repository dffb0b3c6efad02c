import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPresence } from "../../../src/databases/postgres/presence.js";

/** Joins as a worker and stays. Arguments: URI, worker id. Prints `"joined"`. */
const [uri = "", workerId = ""] = process.argv.slice(2);
const presence = createPresence(await openPostgres(uri, { cwd: "/" }));
await presence.join(workerId);
process.stdout.write('"joined"\n');
process.stdin.resume();
