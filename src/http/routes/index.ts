import type { Route } from "../route.js";
import { assistantRoutes } from "./assistants.js";
import { cronRoutes } from "./crons.js";
import { runRoutes } from "./runs.js";
import { storeRoutes } from "./store.js";
import { streamTicketRoutes } from "./stream-tickets.js";
import { systemRoutes } from "./system.js";
import { threadStateRoutes } from "./thread-state.js";
import { threadStreamRoutes } from "./thread-stream.js";
import { threadRoutes } from "./threads.js";
import { uiRoutes } from "./ui.js";
import { webhookRoutes } from "./webhooks.js";

/** Every route of the REST API. Order decides between a literal path and a parameter: literal ones come first. */
export const ROUTES: readonly Route[] = [
  ...systemRoutes,
  ...streamTicketRoutes,
  ...assistantRoutes,
  ...threadRoutes,
  ...threadStateRoutes,
  ...cronRoutes,
  ...runRoutes,
  ...threadStreamRoutes,
  ...storeRoutes,
  ...webhookRoutes,
  ...uiRoutes,
];
