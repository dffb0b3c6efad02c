import { Client } from "@langchain/langgraph-sdk";
import { afterEach, describe, expect, it } from "vitest";
import { bearer } from "../support/owners-auth.js";
import { createProject, graphFile, heddle, type Project, type RunningHeddle, startHeddle } from "./heddle.js";

const projects: Project[] = [];
const running: RunningHeddle[] = [];
function start(command: string, { dir }: Project, ...flags: string[]): RunningHeddle {
  const started = startHeddle([command, "--port", "0", "--no-browser", ...flags], { cwd: dir });
  running.push(started);
  return started;
}
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
  for (const created of projects.splice(0)) created.remove();
});

/** As a project on the Platform has it: with users in a module of its own. */
const AUTH = `import { Auth, HTTPException, isStudioUser } from "@langchain/langgraph-sdk/auth";
import { USERS } from "./users.js";

export const auth = new Auth()
  .authenticate(async (request: Request) => {
    const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
    const user = USERS[token];
    if (user === undefined) throw new HTTPException(401, { message: "Invalid token" });
    return { identity: user, permissions: [] };
  })
  .on("*", ({ value, user }) => {
    if (isStudioUser(user)) return;
    const owned = value as { metadata?: Record<string, unknown> | null };
    owned.metadata = { ...owned.metadata, owner: user.identity };
    return { owner: user.identity };
  });
`;
const users = (names: Record<string, string>) =>
  `export const USERS: Record<string, string> = ${JSON.stringify(names)};\n`;

function project(auth: object = {}): Project {
  const manifest = { graphs: { agent: "./agent.ts:graph" }, auth: { path: "./src.auth.ts:auth", ...auth } };
  const created = createProject(manifest, {
    "agent.ts": graphFile("hello"),
    "src.auth.ts": AUTH,
    "users.ts": users({ ann: "ann", bob: "bob" }),
  });
  projects.push(created);
  return created;
}

const clientOf = (url: unknown, headers: Record<string, string>) =>
  new Client({ apiUrl: String(url), defaultHeaders: headers, callerOptions: { maxRetries: 0 } });
const search = async (url: unknown, headers: Record<string, string>) =>
  (await fetch(`${String(url)}/threads/search`, { method: "POST", body: "{}", headers })).status;

describe("auth of langgraph.json", { timeout: 60_000 }, () => {
  it("protects what heddle serve serves, with the project's file as it is", async () => {
    const server = start("serve", project());
    const { url } = await server.entry(/^listening$/);
    const ann = clientOf(url, bearer("ann"));
    const bob = clientOf(url, bearer("bob"));
    const { thread_id: threadId } = await ann.threads.create();
    expect(await ann.runs.wait(threadId, "agent", { input: {} })).toEqual({ answer: "hello" });
    await expect(bob.threads.get(threadId)).rejects.toThrow(/404/);
    expect(await bob.threads.search()).toEqual([]);
    await expect(clientOf(url, bearer("eve")).threads.search()).rejects.toThrow(/401.*Invalid token/);
    expect(await search(url, { "x-auth-scheme": "langsmith" })).toBe(401);
    expect((await fetch(`${String(url)}/ok`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(server.stderr()).toBe("");
  });

  it("lets Studio into heddle dev alone, on this machine alone, and not when it is disabled", async () => {
    const studio = { "x-auth-scheme": "langsmith" };
    for (const [expected, auth, flags] of [
      [200, {}, []],
      [401, { disable_studio_auth: true }, []],
      [401, {}, ["--host", "0.0.0.0"]],
    ] as const) {
      const { url } = await start("dev", project(auth), ...flags).entry(/^listening$/);
      expect([auth, flags, await search(url, studio)]).toEqual([auth, flags, expected]);
    }
  });

  it("is loaded again by heddle dev when its sources change, and stays when they are wrong", async () => {
    const created = project();
    const server = start("dev", created);
    const { url } = await server.entry(/^listening$/);
    expect(await search(url, bearer("eve"))).toBe(401);
    created.write("users.ts", users({ eve: "eve" }));
    await server.entry(/^Reloaded auth$/);
    expect([await search(url, bearer("eve")), await search(url, bearer("ann"))]).toEqual([200, 401]);
    created.write("users.ts", "export const USERS = {;");
    await server.entry(/could not be loaded again/);
    expect([await search(url, bearer("eve")), await search(url, bearer("ann"))]).toEqual([200, 401]);
    created.write("users.ts", users({ ann: "ann" }));
    await server.entry(/^Reloaded auth$/);
    expect([await search(url, bearer("eve")), await search(url, bearer("ann"))]).toEqual([401, 200]);
  });

  it.each([
    [
      "exports something else",
      "export const auth = { authenticate: () => 'ann' };",
      /Auth must be an instance of Auth/,
    ],
    ["has no such export", "export const other = 1;", /auth\.path: .*no export named "auth".*"other"/],
    ["fails", "throw new Error('no secret');\nexport const auth = 1;", /auth\.path: .*src\.auth\.ts:1.*no secret/],
    ["is no TypeScript", "export const auth = ;", /auth\.path: .*src\.auth\.ts:1/],
  ])("stops the start when its module %s", async (_name, source, message) => {
    const created = project();
    created.write("src.auth.ts", source);
    const { status, stderr } = heddle(["serve", "--port", "0"], { cwd: created.dir });
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });
});
