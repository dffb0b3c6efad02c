import type { IndexedItems } from "../../core/indexed-items.js";
import type { ItemsViewDeps, OpenProtocol, ProtocolContext } from "../protocol.js";
import { errorSchema, refuse } from "./errors.js";
import { createStateFeed } from "./feed.js";
import { withStateValues, workflowNamespaces } from "./items-view.js";
import { createStateOperations } from "./operations.js";
import { createOwners } from "./owners.js";
import { stateStoreRoutes } from "./routes.js";
import { createStateScan } from "./scan.js";
import { createStateValues } from "./values.js";
import { VERSION_HEADER } from "./wire.js";

/** The protocol over a server's records. */
export function openStateStore(context: ProtocolContext): OpenProtocol {
  const { records, hints, authorize, itemPrefix, clock, logger } = context;
  const operations = createStateOperations({
    values: createStateValues({ records, hints, owners: createOwners(records) }),
    feed: createStateFeed({ records, hints, clock, logger }),
    authorize,
    itemPrefix,
  });
  return {
    routes: stateStoreRoutes(operations),
    refuse,
    errorSchema,
    errorStatuses: [400, 401, 403, 413, 414, 429, 431, 500, 503],
    exposedHeaders: ["retry-after", VERSION_HEADER],
  };
}

/** The long-term store that shows the values, too. */
export function viewStateItems(items: IndexedItems, { records, hints, isAuthenticated }: ItemsViewDeps): IndexedItems {
  const owners = createOwners(records);
  return withStateValues(items, {
    values: createStateValues({ records, hints, owners }),
    scan: createStateScan(records, owners),
    isWorkflow: workflowNamespaces(isAuthenticated),
  });
}
