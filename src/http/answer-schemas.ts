import type { z } from "zod";
import { ANSWERS } from "../wire/answers.js";

const THREAD = "/threads/{thread_id}";
const ASSISTANT = "/assistants/{assistant_id}";

/**
 * What routes answer with, by method and path, for the OpenAPI document. A route that is not here answers with any JSON. A key that is no
 * route's fails a test.
 */
export const ANSWER_SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  "post /assistants": ANSWERS.assistant,
  "post /assistants/search": ANSWERS.assistants,
  "post /assistants/count": ANSWERS.count,
  [`get ${ASSISTANT}`]: ANSWERS.assistant,
  [`patch ${ASSISTANT}`]: ANSWERS.assistant,
  [`post ${ASSISTANT}/versions`]: ANSWERS.assistantVersions,
  [`post ${ASSISTANT}/latest`]: ANSWERS.assistant,
  "post /threads": ANSWERS.thread,
  "post /threads/search": ANSWERS.threads,
  "post /threads/count": ANSWERS.count,
  [`get ${THREAD}`]: ANSWERS.thread,
  [`patch ${THREAD}`]: ANSWERS.thread,
  [`post ${THREAD}/copy`]: ANSWERS.thread,
  [`get ${THREAD}/state`]: ANSWERS.state,
  [`post ${THREAD}/state`]: ANSWERS.updatedState,
  [`post ${THREAD}/state/checkpoint`]: ANSWERS.state,
  [`get ${THREAD}/state/{checkpoint_id}`]: ANSWERS.state,
  [`get ${THREAD}/history`]: ANSWERS.states,
  [`post ${THREAD}/history`]: ANSWERS.states,
  "post /runs": ANSWERS.run,
  "post /runs/batch": ANSWERS.createdRuns,
  [`post ${THREAD}/runs`]: ANSWERS.run,
  [`get ${THREAD}/runs`]: ANSWERS.runs,
  [`get ${THREAD}/runs/{run_id}`]: ANSWERS.run,
  "get /store/items": ANSWERS.itemOrNone,
  "post /store/items/search": ANSWERS.items,
  "post /store/namespaces": ANSWERS.namespaces,
  "get /ok": ANSWERS.ok,
  "get /info": ANSWERS.info,
  "post /auth/tickets": ANSWERS.streamTicket,
};
