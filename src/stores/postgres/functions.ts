import { ASSISTANT_FUNCTIONS } from "./functions/assistants.js";
import { CREATE_FUNCTIONS } from "./functions/create-run.js";
import { END_FUNCTIONS } from "./functions/end-run.js";
import { FILTER_FUNCTIONS } from "./functions/filters.js";
import { IMPORT_FUNCTIONS } from "./functions/import-rows.js";
import { REAP_FUNCTIONS } from "./functions/reap-runs.js";
import { THREAD_FUNCTIONS } from "./functions/threads.js";

/**
 * What the run queue does in one round trip, as functions of the database. Each locks the thread's row first and looks at its
 * runs second: a statement that waits for a lock goes on with the snapshot that it had before (design §7.1). Locks are taken in
 * the order thread, run, and several threads in the order of their ids, so that nobody waits in a circle.
 *
 * Parameters: `p_now` a test's clock, else null; `p_request` names the call, `p_again` says that it may have been carried out
 * already, by a connection that was lost before it answered.
 */
export const FUNCTIONS: string = [
  FILTER_FUNCTIONS,
  THREAD_FUNCTIONS,
  CREATE_FUNCTIONS,
  END_FUNCTIONS,
  REAP_FUNCTIONS,
  ASSISTANT_FUNCTIONS,
  IMPORT_FUNCTIONS,
].join("\n");
