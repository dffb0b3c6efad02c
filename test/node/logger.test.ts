import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { createLineLogger } from "../../src/logging/line-log.js";

const now = () => new Date("2026-01-02T03:04:05.678Z");

function collect(level: "debug" | "info" | "warn" | "error" | "silent", colour = false) {
  const lines: string[] = [];
  const logger = createLineLogger({ level, colour, now, write: (line) => void lines.push(line) });
  return { lines, logger };
}

describe("line logger", () => {
  it("writes one line: time, level, message, fields", () => {
    const { lines, logger } = collect("info");
    logger.info({ url: "http://127.0.0.1:1", graphs: ["a", "b"], text: "two words", none: undefined }, "listening");
    expect(lines).toEqual(['03:04:05.678 INFO  listening url=http://127.0.0.1:1 graphs=["a","b"] text="two words"\n']);
  });

  it("leaves out what is below its level", () => {
    const { lines, logger } = collect("warn");
    logger.debug({}, "d");
    logger.info({}, "i");
    logger.warn({}, "w");
    logger.error({}, "e");
    expect(lines.map((line) => line.slice(13))).toEqual(["WARN  w\n", "ERROR e\n"]);
    const silent = collect("silent");
    silent.logger.error({}, "e");
    expect(silent.lines).toEqual([]);
  });

  it("shows an error's stack and its causes, also of a ring", () => {
    const { lines, logger } = collect("info");
    const cause = new Error("inner");
    const error = new Error("outer", { cause });
    cause.cause = error;
    logger.error({ err: error }, "failed");
    expect(lines.join("")).toMatch(/failed\n {2}Error: outer\n(.*\n)+ {2}caused by Error: inner/);
  });

  it("survives values that can't be printed, and line feeds in values", () => {
    const { lines, logger } = collect("info");
    const ring: { self?: unknown } = {};
    ring.self = ring;
    logger.info({ ring, big: 1n, text: "a\nb" }, "odd");
    expect(lines).toEqual(['03:04:05.678 INFO  odd ring=[unprintable] big=[unprintable] text="a\\nb"\n']);
  });

  it("colours only when asked to", () => {
    const { lines, logger } = collect("info", true);
    logger.error({ a: 1 }, "x");
    expect(lines.join("")).toContain("\u001B[31mERROR\u001B[0m");
  });
});

describe("createLogger", () => {
  it("writes JSON with names of levels and ISO times when nobody watches", () => {
    const script = `
      const { createLogger } = await import(${JSON.stringify(new URL("../../src/logging/logger.ts", import.meta.url).href)});
      const logger = await createLogger({ level: "info", format: "auto" });
      logger.debug({}, "hidden");
      logger.warn({ err: new Error("outer", { cause: new Error("inner") }), a: 1 }, "shown");
      process.exit(0);`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(1);
    const entry = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    expect(entry).toMatchObject({ level: "warn", msg: "shown", a: 1, err: { type: "Error", message: "outer" } });
    expect(entry["time"]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(JSON.stringify(entry["err"])).toContain("inner");
  });
});
