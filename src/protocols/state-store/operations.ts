import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { ttlMsOf } from "../../core/indexed-items.js";
import type { JsonObject, JsonText, JsonValue } from "../../core/json.js";
import { isJsonObject, toJsonText } from "../../core/json.js";
import type { Authorize } from "../../services/authorization.js";
import { invalid, versionConflict } from "./errors.js";
import type { FollowCursor, StateFeed } from "./feed.js";
import { type ItemPlace, nameProblem, stateNamespace } from "./places.js";
import type { StateValues } from "./values.js";
import type { SetRequest } from "./wire.js";

/** A workflow's value. */
export interface ValueName {
  readonly workflowId: string;
  readonly key: string;
}

/** What the State Store does for a caller: every operation is one on an item, for whoever authorizes. */
export type StateOperations = ReturnType<typeof createStateOperations>;

export function createStateOperations(deps: {
  readonly values: StateValues;
  readonly feed: StateFeed;
  readonly authorize: Authorize;
  /** The labels that a caller's items lie under. */
  readonly itemPrefix: (caller: Caller) => readonly string[];
}) {
  const { values, feed, authorize, itemPrefix } = deps;

  const placeOf = (caller: Caller, { workflowId, key }: ValueName): ItemPlace => {
    requireName("key", key);
    return { namespace: namespaceOf(caller, workflowId), key };
  };
  const namespaceOf = (caller: Caller, workflowId: string): readonly string[] => {
    requireName("workflow", workflowId);
    return stateNamespace(itemPrefix(caller), workflowId);
  };

  return {
    /**
     * @param request.expected the version that must be there, 0 for none; absent: any
     * @returns the new version
     * @throws HeddleError a version conflict, as {@link versionConflict} makes it
     */
    async set(
      caller: Caller,
      name: ValueName,
      request: SetRequest & { readonly expected?: number },
    ): Promise<{ readonly version: number }> {
      const { expected, value, ttl } = request;
      const asked = { ...placeOf(caller, name), value: { value }, ttl: ttl === null ? null : ttl / 60 };
      const { access, value: granted } = await authorize<typeof asked>(caller, "store", "put", asked);
      const outcome = await values.set(
        { namespace: granted.namespace, key: granted.key },
        {
          value: grantedValue(granted.value),
          ttlMs: granted.ttl === undefined ? null : ttlMsOf(granted.ttl),
          access,
          ...(expected !== undefined && { expected }),
        },
      );
      if (outcome.kind === "hidden") throw notFound(name);
      if (outcome.kind === "forbidden") throw new HeddleError("FORBIDDEN");
      if (outcome.kind === "conflict") throw versionConflict(expected ?? 0, outcome.current);
      return { version: outcome.version };
    },

    async get(caller: Caller, name: ValueName): Promise<{ readonly value: JsonText; readonly version: number }> {
      const { access, value } = await authorize(caller, "store", "get", { ...placeOf(caller, name) });
      const found = await values.get(value, access);
      if (found.kind !== "found") throw notFound(name);
      return found.record;
    },

    /** @returns whether there was one */
    async delete(caller: Caller, name: ValueName): Promise<boolean> {
      const { access, value } = await authorize(caller, "store", "delete", { ...placeOf(caller, name) });
      const { kind } = await values.delete(value, access);
      if (kind === "forbidden") throw new HeddleError("FORBIDDEN");
      // Who may not see it is told what there is for him.
      return kind === "deleted";
    },

    /** Keys of a workflow, by code points. */
    async keys(caller: Caller, workflowId: string): Promise<readonly string[]> {
      const asked = { namespace: namespaceOf(caller, workflowId) };
      const { access, value } = await authorize(caller, "store", "search", asked);
      // What a handler left out confines nobody.
      return values.keys((value as Partial<typeof asked>).namespace ?? asked.namespace, access);
    },

    /** @param options as {@link StateFeed.follow} has them */
    async follow(
      caller: Caller,
      name: ValueName,
      options: { readonly lastVersion: number | null; readonly onDropped: () => void },
    ): Promise<FollowCursor> {
      const { access, value } = await authorize(caller, "store", "get", { ...placeOf(caller, name) });
      return feed.follow({ namespace: value.namespace, key: value.key }, { ...options, access });
    },
  };
}

/** The value in an item's, which may hold nothing else: there is no place for it. */
export function valueOfItem(item: JsonObject): JsonValue | undefined {
  const names = Object.keys(item).filter((name) => item[name] !== undefined);
  return names.length === 1 && names[0] === "value" ? item["value"] : undefined;
}

function grantedValue(item: JsonValue): JsonText {
  const value = isJsonObject(item) ? valueOfItem(item) : undefined;
  if (value !== undefined) return toJsonText(value);
  throw new HeddleError("INVALID_REQUEST", {
    message:
      "The authorization of store:put left something else than {value}, which is all that the State Store keeps.",
  });
}

function requireName(field: string, text: string): void {
  const problem = nameProblem(text);
  if (problem !== null) throw invalid(field, problem);
}

function notFound({ workflowId, key }: ValueName): HeddleError {
  return new HeddleError("NOT_FOUND", {
    message: `There is no value of key ${short(key)} in workflow ${short(workflowId)}`,
  });
}

function short(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
