import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createProject, graphFile, heddle, type Project } from "./heddle.js";

const projects: Project[] = [];
function project(...args: Parameters<typeof createProject>): Project {
  const created = createProject(...args);
  projects.push(created);
  return created;
}
afterEach(() => {
  for (const created of projects.splice(0)) created.remove();
});

describe("heddle", () => {
  it("--help names the commands, and loads neither server nor graphs", () => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-help-"));
    const { status, stdout } = heddle(["--help"], { env: { NODE_V8_COVERAGE: dir } });
    expect(status).toBe(0);
    expect(stdout).toMatch(/serve[^]*dev[^]*check/);
    const loaded = readdirSync(dir)
      .map((name) => readFileSync(join(dir, name), "utf8"))
      .join("");
    rmSync(dir, { recursive: true });
    expect(loaded).toContain("/commander/");
    expect(loaded).not.toMatch(/node_modules\/(?:hono|@hono|@langchain|zod|pino|better-sqlite3)\//);
  });

  it("--version is the package's", () => {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    expect(heddle(["--version"]).stdout.trim()).toBe((JSON.parse(text) as { version: string }).version);
  });

  it("refuses an old Node before anything else", () => {
    const old =
      "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'22.11.0'}})";
    const { status, stderr } = heddle(["--help"], { nodeArgs: ["--import", old] });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^heddle needs Node 22\.12 or newer; this is Node 22\.11\.0/);
  });

  it.each([
    [["serve", "--port", "x"], /--port <port>' argument 'x' is invalid\. It must be a whole number/],
    [["serve", "--workers", "-1"], /--workers/],
    [["serve", "--workers", "1", "--n-jobs-per-worker", "2"], /cannot be used with option '--workers/],
    [["serve", "--log-level", "loud"], /It must be debug, info, warn, error or silent/],
    [["serve", "--tunnel"], /unknown option '--tunnel'/],
    [["sevre"], /unknown command 'sevre'/],
  ])("%j is refused by name", (args, message) => {
    const { status, stderr } = heddle(args);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });
});

describe("heddle check", () => {
  it("prints what was decided and by whom, without secrets", () => {
    const { dir } = project(
      { graphs: { agent: "./agent.ts:graph" }, env: ".env", http: { mount_prefix: "/api" } },
      { "agent.ts": graphFile("x"), ".env": "OPENAI_API_KEY=sk-s3cr3t\nLOG_LEVEL=warn\n" },
    );
    const { status, stdout, stderr } = heddle(["check", "--workers", "3", "--storage", "memory:"], { cwd: dir });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/ok +agent +\.\/agent\.ts:graph/);
    expect(stdout).toMatch(/worker\.concurrency +3 +\(flag\)/);
    expect(stdout).toMatch(/logLevel +warn +\(environment\)/);
    expect(stdout).toMatch(/http\.basePath +\/api +\(langgraph\.json\)/);
    expect(stdout).toMatch(/port +2024 +\(default\)/);
    expect(stdout).toContain("OPENAI_API_KEY=***");
    expect(stdout).not.toContain("s3cr3t");
  });

  it("names every graph that fails, with file and line, and exits with 1", () => {
    const { dir } = project(
      {
        graphs: {
          good: "./good.ts:graph",
          broken: "./broken.ts:graph",
          thrown: "./thrown.ts",
          gone: "./gone.ts:graph",
        },
      },
      {
        "good.ts": graphFile("x"),
        "broken.ts": "export const graph =\n  }",
        "thrown.ts": '\nthrow new Error("no key");\n',
      },
    );
    const { status, stdout, stderr } = heddle(["check", "--storage", "memory:"], { cwd: dir });
    expect(status).toBe(1);
    expect(stdout).toMatch(/ok +good/);
    expect(stdout).toMatch(/failed +broken/);
    expect(stderr).toMatch(/"broken" .*broken\.ts:2:/);
    expect(stderr).toMatch(/"thrown" .*thrown\.ts:2:.*no key/);
    expect(stderr).toMatch(/"gone" .*does not exist/);
  });

  it("names what is wrong with langgraph.json, with file and line", () => {
    const { dir } = project({
      graphs: { a: "./a.ts:graph" },
      auth: { allow_langsmith_api_keys: true },
      http: { disable_runs: 1 },
    });
    const { status, stderr } = heddle(["check"], { cwd: dir });
    expect(status).toBe(1);
    expect(stderr).toMatch(/langgraph\.json:6: auth\.allow_langsmith_api_keys: LangSmith keys can't be checked here/);
    expect(stderr).toMatch(/langgraph\.json:9: http\.disable_runs: /);
  });

  it("says which storages there are when it knows no such one, and keeps its password", () => {
    const { dir } = project({ graphs: { agent: "./agent.ts:graph" } }, { "agent.ts": graphFile("x") });
    const { status, stdout, stderr } = heddle(["check", "--storage", "oracle://me:s3cr3t@h/db"], { cwd: dir });
    expect(status).toBe(1);
    expect(stderr).toMatch(/oracle.*memory:.*sqlite:/);
    expect(stdout).toContain("oracle://me:***@h/db");
    expect(stdout + stderr).not.toContain("s3cr3t");
  });
});
