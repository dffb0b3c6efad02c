import * as fc from "fast-check";
import { expect, it } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import type { JsonObject, JsonValue } from "../../../src/core/json.js";
import { isJsonObject } from "../../../src/core/json.js";
import {
  callerConfigurable,
  mergeConfig,
  mergeContext,
  mirrorContext,
  withConfigurable,
} from "../../../src/services/run-config.js";

const keys = fc.constantFrom("a", "b", "thread_id", "model", "__proto__", "constructor");
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.constant(null),
  fc.constant({ deep: [1] }),
);
const object: fc.Arbitrary<JsonObject> = fc.dictionary(keys, value, { maxKeys: 4, noNullPrototype: true });
const config: fc.Arbitrary<JsonObject> = fc.record(
  {
    configurable: fc.oneof(object, fc.constant(null as unknown as JsonObject)),
    metadata: object,
    recursion_limit: fc.integer(),
    tags: fc.array(fc.string()),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const context: fc.Arbitrary<JsonValue | undefined> = fc.oneof(object, value, fc.constant(undefined));
const isFilled = (candidate: unknown): boolean => isJsonObject(candidate) && Object.keys(candidate).length > 0;

it("mirrors configurable and context only when one of them is empty", () => {
  fc.assert(
    fc.property(config, context, (given, over) => {
      const before = JSON.stringify([given, over]);
      const mirrored = mirrorContext(given, over);
      // What the user gave is passed on as it is, and never changed.
      expect(JSON.stringify([given, over])).toBe(before);
      const { configurable, ...rest } = given;
      const { configurable: after, ...afterRest } = mirrored.config;
      expect(afterRest).toEqual(rest);
      const isFree = over === undefined || (isJsonObject(over) && !isFilled(over));
      expect(after).toBe(isFilled(over) && !isFilled(configurable) ? over : configurable);
      expect(mirrored.context).toBe(isFilled(configurable) && isFree ? configurable : over);
      // Twice is once.
      expect(mirrorContext(mirrored.config, mirrored.context)).toEqual(mirrored);
    }),
  );
});

/** Key by key, without spreads. */
function merge(base: JsonValue | undefined, over: JsonValue | undefined): [string, JsonValue | undefined][] {
  const [low, high] = [base as JsonObject, over as JsonObject];
  const names = [...new Set([...Object.keys(low), ...Object.keys(high)])];
  return names.map((name) => [name, Object.hasOwn(high, name) ? high[name] : low[name]]);
}

it("merges configs: top-level keys replace, configurable and metadata key by key", () => {
  fc.assert(
    fc.property(config, config, (base, over) => {
      const before = JSON.stringify([base, over]);
      const merged = mergeConfig(base, over);
      expect(JSON.stringify([base, over])).toBe(before);
      for (const key of ["recursion_limit", "tags", "configurable", "metadata"]) {
        const isDeep = key === "configurable" || key === "metadata";
        const replaced = Object.hasOwn(over, key) ? over[key] : base[key];
        const isMerged = isDeep && isJsonObject(base[key]) && isJsonObject(over[key]);
        const expected = isMerged ? merge(base[key], over[key]) : replaced;
        expect(isMerged ? Object.entries(merged[key] as JsonObject) : merged[key]).toEqual(expected);
      }
      expect(mergeConfig(merged, over)).toEqual(merged);
      expect(mergeConfig({}, over)).toEqual(over);
      expect(mergeConfig(base, {})).toEqual(base);
    }),
  );
});

it("merges contexts: objects shallowly, anything else replaces", () => {
  fc.assert(
    fc.property(fc.oneof(object, value), context, (base, over) => {
      const merged = mergeContext(base, over);
      const isMerged = isJsonObject(base) && isJsonObject(over);
      const alone = isJsonObject(base) && !isFilled(base) ? undefined : base;
      const expected = isMerged ? merge(base, over) : over === undefined ? alone : over;
      expect(isMerged ? Object.entries(merged as JsonObject) : merged).toEqual(expected);
    }),
  );
});

it("lets the server's own configurable win over the user's", () => {
  fc.assert(
    fc.property(config, fc.string(), (given, identity) => {
      const forged = mergeConfig(given, { configurable: { langgraph_auth_user_id: "root", langgraph_auth_user: {} } });
      const caller = { identity, permissions: ["read"], user: { identity } };
      const { configurable } = withConfigurable(forged, callerConfigurable(caller)) as { configurable: JsonObject };
      expect(configurable["langgraph_auth_user_id"]).toBe(identity);
      expect(configurable["langgraph_auth_user"]).toEqual({ identity });
      expect(configurable["langgraph_auth_permissions"]).toEqual(["read"]);
      expect(withConfigurable(given, callerConfigurable(ANONYMOUS))).toBe(given);
    }),
  );
});
