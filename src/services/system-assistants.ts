import type { Assistant, RunConfig } from "../core/assistant.js";
import { hasSystemMark, SYSTEM_MARK } from "../core/assistant.js";
import type { Caller } from "../core/auth.js";
import { ALL_ROWS, SERVER } from "../core/auth.js";
import type { Engine } from "../core/engine.js";
import { HeddleError } from "../core/errors.js";
import type { JsonValue } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore, NewAssistant } from "../core/metadata-store.js";
import { systemAssistantId } from "./identifiers.js";
import { mirrorContext } from "./run-config.js";

/** What the configuration says of graphs' assistants, by graph id. */
export type SystemAssistantSeeds = Readonly<
  Record<string, { readonly config: RunConfig; readonly context?: JsonValue }>
>;

interface SeedDeps {
  readonly store: Pick<MetadataStore, "assistants">;
  readonly engine: Pick<Engine, "graphs">;
  readonly logger: Logger;
}

/** How often an id that is taken again while it is seeded is freed. */
const ATTEMPTS = 5;

/**
 * Make one system assistant per graph, in place of whatever has its id without being it, and bring name, description and seed
 * configuration of existing ones up to date (docs/wire/langgraph-api.md §5.3, §5.6). Called once at start.
 * @throws `FORBIDDEN` for anybody but the server itself
 */
export async function seedSystemAssistants(caller: Caller, seeds: SystemAssistantSeeds, deps: SeedDeps): Promise<void> {
  if (caller !== SERVER) throw new HeddleError("FORBIDDEN");
  for (const { graphId, description } of deps.engine.graphs()) {
    const assistantId = systemAssistantId(graphId);
    const seed = seeds[graphId];
    const { config, context } = mirrorContext(seed?.config ?? {}, seed?.context);
    const existing = await seeded(deps, {
      assistantId,
      graphId,
      name: graphId,
      description,
      config,
      context: context ?? {},
      metadata: { [SYSTEM_MARK.key]: SYSTEM_MARK.value },
    });
    if (existing === null) continue;
    const stale =
      (description !== null && existing.description !== description) ||
      (seed !== undefined && JSON.stringify(existing.config) !== JSON.stringify(config));
    if (!stale) continue;
    await deps.store.assistants.update({
      assistantId,
      patch: {
        ...(description === null ? {} : { description }),
        ...(seed ? { config, context: context ?? {} } : {}),
      },
      access: ALL_ROWS,
    });
  }
}

/** @returns the graph's assistant that was there, or `null` when it was made now */
async function seeded({ store, logger }: SeedDeps, draft: NewAssistant): Promise<Assistant | null> {
  const { assistantId, graphId } = draft;
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await store.assistants.create({ draft, access: ALL_ROWS });
    if (outcome.kind === "created" || outcome.assistant === null) return null;
    const { assistant } = outcome;
    if (hasSystemMark(assistant.metadata) && assistant.graphId === graphId) return assistant;
    if (attempt > ATTEMPTS) {
      throw new Error(`The id of the system assistant of graph "${graphId}" is taken again and again`);
    }
    // Somebody's, made before the graph was there. It goes with its versions: an update would keep metadata of theirs.
    logger.warn(
      { assistantId, graphId, takenFor: assistant.graphId, createdAt: assistant.createdAt },
      "the id of a graph's system assistant was taken by an assistant that is not the server's: it is replaced",
    );
    await store.assistants.delete({ assistantId, access: ALL_ROWS });
  }
}
