import type { Caller } from "../core/auth.js";
import type { Assistant, AssistantPatch, AssistantSortField, AssistantVersion, RunConfig } from "../core/assistant.js";
import { hasSystemMark, SYSTEM_MARK } from "../core/assistant.js";
import type { Engine, GraphSchemas } from "../core/engine.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore, Page, PageRequest } from "../core/metadata-store.js";
import type { Authorize } from "./authorization.js";
import { grantedFilter, grantedMetadata } from "./authorization.js";
import { newId, systemAssistantId } from "./identifiers.js";
import { mirrorContext } from "./run-config.js";
import { seedSystemAssistants, type SystemAssistantSeeds } from "./system-assistants.js";
import type { ThreadsService } from "./threads.js";

export interface CreateAssistantRequest {
  readonly graphId: string;
  readonly assistantId?: string;
  readonly name?: string;
  readonly description?: string | null;
  readonly config?: RunConfig;
  readonly context?: JsonValue;
  readonly metadata?: JsonObject;
  readonly ifExists: "raise" | "do_nothing";
}

export interface AssistantSearch {
  readonly metadata?: JsonObject;
  readonly graphId?: string;
  readonly name?: string;
}

/** Assistants: graphs with configuration, versioned (docs/wire/langgraph-api.md §2.3). */
export type AssistantsService = ReturnType<typeof createAssistantsService>;

export function createAssistantsService(deps: {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly threads: Pick<ThreadsService, "delete" | "search">;
  readonly authorize: Authorize;
  readonly logger: Logger;
}) {
  const { store, engine, authorize } = deps;

  /** By graph id; at most one for each graph. The hash behind it is 2 % of a small run. */
  const systemIds = new Map<string, string>();

  /** An assistant id, or the id of a graph's system assistant. */
  const idOf = (assistantId: string): string => {
    if (!engine.has(assistantId)) return assistantId;
    const id = systemIds.get(assistantId) ?? systemAssistantId(assistantId);
    systemIds.set(assistantId, id);
    return id;
  };

  const requireGraph = (graphId: string): void => {
    if (engine.has(graphId)) return;
    const known = engine.graphs().map((graph) => graph.graphId);
    throw new HeddleError("GRAPH_NOT_FOUND", {
      message: `Graph "${graphId}" not found. Graphs of this server: ${known.join(", ") || "none"}.`,
    });
  };

  const found = (assistant: Assistant | null): Assistant => {
    if (assistant === null) throw new HeddleError("ASSISTANT_NOT_FOUND");
    return assistant;
  };

  /** @returns false when the thread is hidden from deletion, or gone already */
  const deletedThread = async (caller: Caller, threadId: string): Promise<boolean> => {
    try {
      await deps.threads.delete(caller, threadId);
      return true;
    } catch (error) {
      if (isHeddleError(error) && error.code === "THREAD_NOT_FOUND") return false;
      throw error;
    }
  };

  const get = async (caller: Caller, assistantId: string): Promise<Assistant> => {
    const id = idOf(assistantId);
    const { access } = await authorize(caller, "assistants", "read", { assistant_id: id });
    return found(await store.assistants.get({ assistantId: id, access }));
  };

  return {
    idOf,
    get,

    /** @throws `GRAPH_NOT_FOUND`, `ASSISTANT_EXISTS`; `FORBIDDEN` for one that claims to be the server's */
    async create(caller: Caller, request: CreateAssistantRequest): Promise<Assistant> {
      requireGraph(request.graphId);
      const assistantId = request.assistantId ?? newId();
      const { config, context } = mirrorContext(request.config ?? {}, request.context);
      const claims = claimsSystem(caller, request.metadata);
      const grant = await authorize(caller, "assistants", "create", {
        assistant_id: assistantId,
        graph_id: request.graphId,
        config,
        context: context ?? {},
        metadata: request.metadata ?? {},
        if_exists: request.ifExists,
        name: request.name,
        description: request.description,
      });
      const metadata = grantedMetadata(grant, request.metadata ?? {});
      if (claims && hasSystemMark(metadata)) throw notTheServer();
      const outcome = await store.assistants.create({
        draft: {
          assistantId,
          graphId: request.graphId,
          name: request.name ?? "Untitled",
          description: request.description ?? null,
          config,
          context: context ?? {},
          metadata,
        },
        access: grant.access,
      });
      if (outcome.kind === "created") return outcome.assistant;
      if (request.ifExists === "do_nothing" && outcome.assistant !== null) return outcome.assistant;
      throw new HeddleError("ASSISTANT_EXISTS");
    },

    /** @throws `GRAPH_NOT_FOUND`, `ASSISTANT_NOT_FOUND`; `FORBIDDEN` for one that claims to be the server's */
    async update(caller: Caller, assistantId: string, patch: AssistantPatch): Promise<Assistant> {
      const id = idOf(assistantId);
      if (patch.graphId !== undefined) requireGraph(patch.graphId);
      const claims = claimsSystem(caller, patch.metadata);
      const grant = await authorize(caller, "assistants", "update", {
        assistant_id: id,
        graph_id: patch.graphId,
        config: patch.config,
        context: patch.context,
        metadata: patch.metadata,
        name: patch.name,
        description: patch.description,
      });
      const metadata = grantedMetadata(grant, undefined);
      const { access } = grant;
      if (claims && hasSystemMark(metadata)) {
        // One that is the server's may be sent back as it was read.
        const current = found(await store.assistants.get({ assistantId: id, access }));
        if (!hasSystemMark(current.metadata)) throw notTheServer();
      }
      // A context alone changes `configurable` only: tags, limits and the rest of the config stay.
      const kept = mirrorsContext(patch) ? found(await store.assistants.get({ assistantId: id, access })).config : null;
      return found(
        await store.assistants.update({
          assistantId: id,
          patch: { ...patch, ...mirrorPatch(patch, kept), ...(metadata === undefined ? {} : { metadata }) },
          access,
        }),
      );
    },

    /** With `deleteThreads`, also every thread that the caller may delete and whose metadata names the assistant. */
    async delete(
      caller: Caller,
      assistantId: string,
      options: { readonly deleteThreads: boolean },
    ): Promise<Assistant> {
      const id = idOf(assistantId);
      const { access } = await authorize(caller, "assistants", "delete", { assistant_id: id });
      const assistant = found(await store.assistants.get({ assistantId: id, access }));
      if (options.deleteThreads) {
        // Threads that the caller may see but not delete stay, and are passed over.
        for (let kept = 0; ;) {
          const page = await deps.threads.search(caller, {
            metadata: { assistant_id: id },
            limit: 100,
            offset: kept,
            sortBy: "created_at",
            sortOrder: "asc",
            withState: false,
          });
          for (const thread of page.rows) {
            if (!(await deletedThread(caller, thread.threadId))) kept++;
          }
          if (page.rows.length < 100) break;
        }
      }
      await store.assistants.delete({ assistantId: id, access });
      return assistant;
    },

    async search(caller: Caller, query: AssistantSearch & PageRequest<AssistantSortField>): Promise<Page<Assistant>> {
      const grant = await authorize(caller, "assistants", "search", {
        graph_id: query.graphId,
        metadata: query.metadata,
        limit: query.limit,
        offset: query.offset,
      });
      return store.assistants.search({ ...query, ...grantedFilter(grant), access: grant.access });
    },

    async count(caller: Caller, query: AssistantSearch): Promise<number> {
      const grant = await authorize(caller, "assistants", "search", {
        graph_id: query.graphId,
        metadata: query.metadata,
        limit: 0,
        offset: 0,
      });
      return store.assistants.count({ ...query, ...grantedFilter(grant), access: grant.access });
    },

    /** Newest first. @throws `ASSISTANT_NOT_FOUND` when there is nothing to return. */
    async versions(
      caller: Caller,
      assistantId: string,
      query: { readonly metadata?: JsonObject; readonly limit: number; readonly offset: number },
    ): Promise<readonly AssistantVersion[]> {
      const id = idOf(assistantId);
      const { access } = await authorize(caller, "assistants", "read", { assistant_id: id, metadata: query.metadata });
      const versions = await store.assistants.versions({ assistantId: id, ...query, access });
      if (versions.length === 0) {
        throw new HeddleError("ASSISTANT_NOT_FOUND", { message: `Assistant "${assistantId}" not found.` });
      }
      return versions;
    },

    /** @throws `ASSISTANT_NOT_FOUND`, `ASSISTANT_VERSION_NOT_FOUND` */
    async setLatest(caller: Caller, assistantId: string, version: number): Promise<Assistant> {
      const id = idOf(assistantId);
      const grant = await authorize(caller, "assistants", "update", { assistant_id: id, version });
      const metadata = grantedMetadata(grant, undefined);
      const outcome = await store.assistants.setLatest({
        assistantId: id,
        version,
        ...(metadata === undefined ? {} : { metadata }),
        access: grant.access,
      });
      if (outcome.kind === "no-assistant") throw new HeddleError("ASSISTANT_NOT_FOUND");
      if (outcome.kind === "no-version") throw new HeddleError("ASSISTANT_VERSION_NOT_FOUND");
      return outcome.assistant;
    },

    async drawGraph(caller: Caller, assistantId: string, xray: boolean | number): Promise<JsonValue> {
      const { graphId, config } = await get(caller, assistantId);
      requireGraph(graphId);
      return engine.drawGraph({ graphId, config, xray });
    },

    async schemas(caller: Caller, assistantId: string): Promise<GraphSchemas> {
      const { graphId, config } = await get(caller, assistantId);
      requireGraph(graphId);
      return engine.schemas({ graphId, config });
    },

    async subgraphs(
      caller: Caller,
      assistantId: string,
      query: { readonly namespace?: string; readonly recurse: boolean },
    ): Promise<Readonly<Record<string, GraphSchemas>>> {
      const { graphId, config } = await get(caller, assistantId);
      requireGraph(graphId);
      return engine.subgraphs({ graphId, config, ...query });
    },

    seedSystemAssistants: (caller: Caller, seeds: SystemAssistantSeeds) => seedSystemAssistants(caller, seeds, deps),
  };
}

/**
 * A client says that its assistant is the server's. Asked before handlers are, which may say so themselves; without
 * authentication nobody is kept from anything, and it is worth nothing.
 */
function claimsSystem(caller: Caller, metadata: JsonObject | undefined): boolean {
  return caller.identity !== null && hasSystemMark(metadata);
}

function notTheServer(): HeddleError {
  return new HeddleError("FORBIDDEN", {
    message: `metadata.${SYSTEM_MARK.key} "${SYSTEM_MARK.value}" is kept for the assistants that the server makes itself`,
  });
}

/** Only a context is given, and it is one that `configurable` can hold. */
function mirrorsContext(patch: AssistantPatch): boolean {
  return patch.config === undefined && isJsonObject(patch.context);
}

/** What a patch changes besides what it says, so that `configurable` and `context` stay in step (§2.3.1). */
function mirrorPatch(patch: AssistantPatch, kept: RunConfig | null): AssistantPatch {
  const { config, context } = patch;
  if (kept !== null && isJsonObject(context)) return { config: { ...kept, configurable: context } };
  if (config === undefined) return {};
  const mirrored = mirrorContext(config, context);
  return { config: mirrored.config, ...(mirrored.context === undefined ? {} : { context: mirrored.context }) };
}
