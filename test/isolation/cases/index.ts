import type { HeddleServer } from "../../../src/app.js";
import { assistantCases } from "./assistants.js";
import { commandCases, type CommandVariant } from "./commands.js";
import { cronCases } from "./crons.js";
import { runCases } from "./runs.js";
import { storeCases } from "./store.js";
import { systemCases } from "./system.js";
import { threadCases } from "./threads.js";
import { webhookCases } from "./webhooks.js";
import type { Cases, Variant } from "./variant.js";

const COMMANDS = "POST /threads/:thread_id/commands";

/** A command sent by itself. */
function overHttp(method: string, variant: CommandVariant): Variant {
  const { name, threadOf = ({ threadId }) => threadId, params, needsOwn, differs, onSocket, asksNobody } = variant;
  return {
    name: `${method}: ${name}`,
    request: (ids, own) => ({
      path: `/threads/${threadOf(ids, own)}/commands`,
      body: { id: 1, method, params: params(ids, own) },
    }),
    ...(needsOwn === undefined ? {} : { needsOwn, isAlone: true }),
    ...(differs === undefined ? {} : { differs }),
    ...(onSocket === undefined ? {} : { asksNobody: "it needs a WebSocket" }),
    ...(asksNobody === undefined ? {} : { asksNobody }),
  };
}

const commands = Object.entries(commandCases).flatMap(([method, variants]) =>
  variants.map((variant) => overHttp(method, variant)),
);

/** What is asked of each route, by two users and by nobody. A route without an entry fails the walk. */
export const CASES: Cases = {
  ...systemCases,
  ...assistantCases,
  ...threadCases,
  ...runCases,
  ...cronCases,
  ...storeCases,
  ...webhookCases,
  [COMMANDS]: commands as unknown as Cases[string],
};

/** What an app serves, as its router has it: also what no table of ours knows of. */
export function servedRoutes({ app }: Pick<HeddleServer, "app">): readonly string[] {
  return [...new Set(app.routes.map(({ method, path }) => `${method} ${path}`))];
}
