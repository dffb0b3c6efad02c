import { expectTypeOf, it } from "vitest";
import type { AccessFilter, Caller } from "../../src/core/auth.js";
import type { MetadataStore } from "../../src/core/metadata-store.js";
import type { ItemStore } from "../../src/core/item-store.js";
import type { Services } from "../../src/services/create-services.js";

/** Methods whose first parameter is not exactly a caller, as `service.method`. */
type Callerless = {
  [S in keyof Services]: {
    [M in keyof Services[S]]: Services[S][M] extends (...args: infer Args) => unknown
      ? Args extends readonly [caller: infer First, ...rest: unknown[]]
        ? [First, Caller] extends [Caller, First]
          ? never
          : `${S}.${M & string}`
        : `${S}.${M & string}`
      : never;
  }[keyof Services[S]];
}[keyof Services];

type Parameter<F> = F extends (params: infer P) => unknown ? P : never;

/** Store methods that take rows by access and would do without it. */
type Unfiltered<S, Names extends keyof S> = {
  [M in Names]: Parameter<S[M]> extends { readonly access: AccessFilter } ? never : M;
}[Names];

// Checked by tsc, which also checks the tests: a method without its caller, or a store's without its filter, fails the build.
it("no method of a service does without a caller; but what maps an id", () => {
  expectTypeOf<Callerless>().toEqualTypeOf<"assistants.idOf">();
});

it("a call without a caller does not compile", () => {
  const never = (services: Services): void => {
    // @ts-expect-error -- the caller is missing
    void services.threads.get("thread");
    // @ts-expect-error -- so it is here
    void services.threads.search({ limit: 1, offset: 0, sortBy: "created_at", sortOrder: "asc", withState: false });
    // @ts-expect-error -- a user is no caller
    void services.threads.get({ identity: "ann" }, "thread");
  };
  expectTypeOf(never).toBeFunction();
});

it("no method of a store that shows or changes rows for callers does without a filter", () => {
  expectTypeOf<
    Unfiltered<
      MetadataStore["assistants"],
      "create" | "get" | "update" | "delete" | "search" | "count" | "versions" | "setLatest"
    >
  >().toBeNever();
  expectTypeOf<
    Unfiltered<MetadataStore["threads"], "create" | "get" | "update" | "watch" | "delete" | "search" | "count">
  >().toBeNever();
  expectTypeOf<
    Unfiltered<MetadataStore["runs"], "create" | "requestCancel" | "get" | "explain" | "list" | "delete">
  >().toBeNever();
  expectTypeOf<Unfiltered<ItemStore, "put" | "get" | "delete" | "search" | "listNamespaces">>().toBeNever();
});
