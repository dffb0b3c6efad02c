import type { Served, ServedProtocol } from "../served.js";
import { agentexCases } from "./agentex-states.js";
import { assistantCases } from "./assistants.js";
import { commandCases, type CommandVariant } from "./commands.js";
import { cronCases } from "./crons.js";
import { openwopCases } from "./openwop.js";
import { openwopCases2 } from "./openwop-v2.js";
import { runCases } from "./runs.js";
import { snapstateCases } from "./snapstate.js";
import { stateStoreCases } from "./state-store.js";
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

/** The same of each protocol, by its routes below its default path. */
export const PROTOCOL_CASES: Readonly<Record<string, Cases>> = {
  "state-store": stateStoreCases,
  "agentex-states": agentexCases,
  snapstate: snapstateCases,
  openwop: { ...openwopCases, ...openwopCases2 },
};

/** What an app serves, as its router has it: also what no table of ours knows of. Mounts answer everything below their paths. */
export function servedRoutes({ server, protocols }: Pick<Served, "server" | "protocols">): readonly string[] {
  const mounts = new Set(protocols.map(({ path }) => `ALL ${path}/*`));
  const names = server.app.routes.map(({ method, path }) => `${method} ${path}`);
  return [...new Set(names)].filter((name) => !mounts.has(name));
}

/** What a protocol answers, as its own table has it. */
export function protocolRoutes({ path: mount, routes }: ServedProtocol): readonly string[] {
  return routes.map(({ method, path }) => `${method.toUpperCase()} ${mount}${path}`);
}
