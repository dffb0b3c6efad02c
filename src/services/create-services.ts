import type { Authorizer } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Engine } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import type { IndexedItems } from "../core/indexed-items.js";
import type { JsonObject } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { OperationListener } from "../core/request-scope.js";
import type { RunLauncher } from "../core/run-launcher.js";
import { createAssistantsService } from "./assistants.js";
import type { AssistantsService } from "./assistants.js";
import { auditedAuthorize } from "./audited-authorize.js";
import { createAuthorize } from "./authorization.js";
import type { Authorize } from "./authorization.js";
import { createCronsService } from "./crons.js";
import type { CronsService } from "./crons.js";
import { createDeliveriesService } from "./deliveries.js";
import type { DeliveriesService } from "./deliveries.js";
import { createFollowedThreads } from "./followed-threads.js";
import { createItemsService } from "./items.js";
import type { ItemsService } from "./items.js";
import { createRunsService } from "./runs.js";
import type { RunsService } from "./runs.js";
import { createSupersteps } from "./supersteps.js";
import { createStreamTicketsService } from "./stream-tickets.js";
import type { StreamTicketsService } from "./stream-tickets.js";
import { createThreadCommandsService } from "./thread-commands/index.js";
import type { ThreadCommandsService } from "./thread-commands/index.js";
import { createThreadEventsService } from "./thread-events.js";
import type { ThreadEventsService } from "./thread-events.js";
import { createThreadRunsService } from "./thread-runs.js";
import type { ThreadRunsService } from "./thread-runs.js";
import { createThreadStateService } from "./thread-state.js";
import type { ThreadStateService } from "./thread-state.js";
import { createThreadsService } from "./threads.js";
import type { ThreadsService } from "./threads.js";

/** All policy of the server, without HTTP, SQL or LangGraph. Protocols translate onto it. */
export interface Services {
  readonly assistants: AssistantsService;
  readonly threads: ThreadsService;
  readonly state: ThreadStateService;
  readonly runs: RunsService;
  readonly crons: CronsService;
  readonly items: ItemsService;
  readonly threadEvents: ThreadEventsService;
  readonly threadCommands: ThreadCommandsService;
  readonly threadRuns: ThreadRunsService;
  readonly streamTickets: StreamTicketsService;
  readonly deliveries: DeliveriesService;
  /** For protocols that keep something of their own beside these. */
  readonly authorize: Authorize;
}

/** Wire the services to what they need. */
export function createServices(deps: {
  readonly store: MetadataStore;
  readonly items: IndexedItems;
  readonly checkpointer: Checkpointer;
  readonly engine: Engine;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  readonly launcher: RunLauncher;
  /** A cron was made or changed: its tick may come soon. */
  readonly onCronChange?: () => void;
  readonly authorizer: Authorizer | null;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each operation that is authorized or refused. */
  readonly onOperation?: OperationListener;
  /** Of the request at hand, for the `configurable` of the runs that it creates. */
  readonly requestConfigurable?: () => JsonObject;
  /** A webhook is to be sent again. */
  readonly wakeSender?: () => void;
  /** How often a run may be started before it ends as `error`. */
  readonly maxAttempts: number;
  /** Aborted when the server closes: nobody waits for a run any longer. */
  readonly closing?: AbortSignal;
}): Services {
  const unaudited = createAuthorize(deps.authorizer);
  const authorize = deps.onOperation === undefined ? unaudited : auditedAuthorize(unaudited, deps.onOperation);
  const state = createThreadStateService({ ...deps, authorize });
  const threads = createThreadsService({ ...deps, supersteps: createSupersteps(deps), authorize });
  const assistants = createAssistantsService({ ...deps, threads, authorize });
  const followed = createFollowedThreads(deps);
  const runs = createRunsService({ ...deps, assistants, followed, authorize });
  const threadEvents = createThreadEventsService({ ...deps, state, followed, authorize, unaudited });
  const threadCommands = createThreadCommandsService({ ...deps, runs, state, authorize, unaudited });
  const threadRuns = createThreadRunsService({ runs, state, threadEvents });
  const crons = createCronsService({ ...deps, assistants, runs, authorize });
  const items = createItemsService({ items: deps.items, authorize });
  const streamTickets = createStreamTicketsService({ store: deps.store, threads });
  const deliveries = createDeliveriesService({ ...deps, authorize });
  const ofThreads = { threads, state, threadEvents, threadCommands, threadRuns };
  return { assistants, ...ofThreads, runs, crons, items, streamTickets, deliveries, authorize };
}
