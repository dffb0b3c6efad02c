import { describe, expect, it } from "vitest";
import { createDriverRegistry, type Driver, schemeOf } from "../../../src/core/driver.js";
import type { HeddleError } from "../../../src/core/errors.js";

const context = { cwd: "/" };

function driver(scheme: string, open: () => Promise<string> = async () => scheme): Driver<string> {
  return { schemes: [scheme], requires: ["some-client", "@scope/other"], open };
}

async function failure(opening: Promise<unknown>): Promise<HeddleError> {
  return opening.then(
    () => {
      throw new Error("did not fail");
    },
    (error: unknown) => error as HeddleError,
  );
}

describe("createDriverRegistry", () => {
  it("opens by scheme, whatever its case", async () => {
    const registry = createDriverRegistry({ kind: "storage", drivers: [driver("b"), driver("a")] });
    expect(await registry.open("A:rest", context)).toBe("a");
    expect(registry.schemes()).toEqual(["a", "b"]);
  });

  it("lists the known schemes for an unknown one, and shows no more of the URI", async () => {
    const registry = createDriverRegistry({ kind: "storage", drivers: [driver("b"), driver("a")] });
    const unknown = await failure(registry.open("mysql://user:secret@host/db", context));
    expect(unknown.code).toBe("SCHEME_UNKNOWN");
    expect(unknown.message).toBe('No storage driver is registered for "mysql:". Known schemes: a:, b:');
    const none = await failure(registry.open("./secret.db", context));
    expect(none.code).toBe("CONFIG_INVALID");
    expect(none.message).not.toContain("secret");
  });

  it("takes a second driver for a scheme only as an override", async () => {
    const registry = createDriverRegistry({ kind: "storage", drivers: [driver("a")] });
    const second = driver("a", async () => "second");
    expect(() => registry.register(second)).toThrow(/"a:" is already registered.*override/);
    expect(await registry.open("a:", context)).toBe("a");
    registry.register(second, { override: true });
    expect(await registry.open("a:", context)).toBe("second");
  });

  it("names the install command when an optional package is missing", async () => {
    const name: string = "some-client";
    const missing = driver("a", async () => (await import(name)) as string);
    const error = await failure(createDriverRegistry({ kind: "storage", drivers: [missing] }).open("a:", context));
    expect(error.code).toBe("DEPENDENCY_MISSING");
    expect(error.message).toContain("npm install some-client @scope/other");
  });

  it("passes on every other failure, a missing module of someone else too", async () => {
    const other = Object.assign(new Error("Cannot find package 'else'"), { code: "ERR_MODULE_NOT_FOUND" });
    const broken = driver("a", async () => {
      throw other;
    });
    expect(await failure(createDriverRegistry({ kind: "storage", drivers: [broken] }).open("a:", context))).toBe(other);
  });
});

describe("schemeOf", () => {
  it("reads the scheme", () => {
    expect(schemeOf("SQLite::memory:")).toBe("sqlite");
    expect(schemeOf("mongodb+srv://x")).toBe("mongodb+srv");
    expect(schemeOf("/path:x")).toBeNull();
    expect(schemeOf("")).toBeNull();
  });
});
