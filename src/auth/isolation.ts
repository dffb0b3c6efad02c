import { hasSystemMark, SYSTEM_MARK } from "../core/assistant.js";
import type { AccessCondition, AuthAction, Authorizer, AuthResource, Caller, Grant } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { namespaceLabel } from "../core/item-namespace.js";
import { isJsonObject } from "../core/json.js";
import type { RoleCheck } from "./roles.js";
import { confinedStoreValue } from "./store-namespaces.js";

/** A key of rows' metadata and whose value it has: rows get it when they are made, and need it to be seen. */
export interface RowMark {
  readonly metadataKey: string;
  /** `null`: the caller has none and may not do anything. */
  valueOf(caller: Caller): string | null;
  /** For the refusal: `tenant`. */
  readonly name: string;
}

export interface IsolationRules {
  /** In the order of labels of store namespaces. Empty: nobody is confined. */
  readonly marks: readonly RowMark[];
  /** `null`: whoever is authenticated may do everything with what he sees. */
  readonly roles: RoleCheck | null;
}

type Value = Readonly<Record<string, JsonValue | undefined>>;

/**
 * What the ready-made ways to authenticate allow: permissions by resource and action, and of rows only those that carry the
 * caller's marks. Items of the store are confined by namespace (./store-namespaces).
 */
export function createIsolation({ marks, roles }: IsolationRules): Authorizer {
  return {
    authorize<V extends Value>(
      caller: Caller,
      { resource, action, value }: { readonly resource: AuthResource; readonly action: AuthAction; readonly value: V },
    ): Grant<V> {
      if (roles !== null && !roles.allows(caller.permissions, resource, action)) {
        throw new HeddleError("FORBIDDEN", { message: `This needs the permission ${resource}:${action}` });
      }
      if (marks.length === 0) return { access: ALL_ROWS, value };
      if (roles?.seesAllOwners(caller.permissions) === true) return unconfined(caller, marks, resource, action, value);
      const own = ownMarks(caller, marks);
      if (resource === "store") {
        const labels = own.map(([, mark]) => mark);
        return { access: ALL_ROWS, value: { ...value, ...confinedStoreValue(labels, action, value) } };
      }
      const where: AccessCondition = Object.fromEntries(own);
      // Assistants of the server itself: everybody sees them, nobody else may claim to be it.
      const seesSystem = resource === "assistants" && (action === "read" || action === "search");
      return {
        access: {
          kind: "match",
          where: seesSystem ? { $or: [where, { [SYSTEM_MARK.key]: SYSTEM_MARK.value }] } : where,
        },
        value: marked(value, { resource, action, own }),
      };
    },
    itemPrefix: (caller) =>
      marks.flatMap(({ valueOf }) => {
        const mark = valueOf(caller);
        return mark === null ? [] : [namespaceLabel(mark)];
      }),
  };
}

function unconfined<V extends Value>(
  caller: Caller,
  marks: readonly RowMark[],
  resource: AuthResource,
  action: AuthAction,
  value: V,
): Grant<V> {
  if (resource === "store" || !creates(action)) return { access: ALL_ROWS, value };
  // What it makes for others it may mark as theirs.
  const own = marks.flatMap(({ metadataKey, valueOf }): [string, string][] => {
    const mark = valueOf(caller);
    return mark === null ? [] : [[metadataKey, mark]];
  });
  return { access: ALL_ROWS, value: { ...value, metadata: { ...Object.fromEntries(own), ...metadataOf(value) } } };
}

function ownMarks(caller: Caller, marks: readonly RowMark[]): readonly (readonly [string, string])[] {
  return marks.map(({ metadataKey, valueOf, name }) => {
    const mark = valueOf(caller);
    if (mark === null) throw new HeddleError("FORBIDDEN", { message: `This needs a ${name}, and the caller has none` });
    return [metadataKey, mark] as const;
  });
}

const creates = (action: AuthAction): boolean => action === "create" || action === "create_run";

/** New rows get the caller's marks, whatever the client says; existing ones keep theirs. */
function marked<V extends Value>(
  value: V,
  at: {
    readonly resource: AuthResource;
    readonly action: AuthAction;
    readonly own: readonly (readonly [string, string])[];
  },
): V {
  const { resource, action, own } = at;
  if (creates(action))
    return { ...value, metadata: { ...allowed(resource, metadataOf(value)), ...Object.fromEntries(own) } };
  if (action !== "update" || !isJsonObject(value["metadata"])) return value;
  const kept = Object.entries(allowed(resource, value["metadata"])).filter(
    ([key]) => !own.some(([mark]) => mark === key),
  );
  return { ...value, metadata: Object.fromEntries(kept) };
}

function allowed(resource: AuthResource, metadata: JsonObject): JsonObject {
  if (resource !== "assistants" || !hasSystemMark(metadata)) return metadata;
  const { [SYSTEM_MARK.key]: _, ...rest } = metadata;
  return rest;
}

function metadataOf(value: Value): JsonObject {
  return isJsonObject(value["metadata"]) ? value["metadata"] : {};
}
