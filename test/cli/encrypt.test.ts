import { afterEach, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { echo } from "../fixtures/graphs/index.js";
import { newKey } from "../support/cipher.js";
import { createProject, heddle, type Project } from "./heddle.js";

const projects: Project[] = [];
afterEach(() => {
  for (const created of projects.splice(0)) created.remove();
});

it("heddle encrypt: asks for keys, counts, rewrites, says when a key is missing", { timeout: 120_000 }, async () => {
  const created = createProject({ graphs: { agent: "./agent.ts:graph" } }, { "agent.ts": "export const graph = {};" });
  projects.push(created);
  const { dir } = created;
  const server = await createApp({ graphs: { echo }, storage: "sqlite:./e.db", cwd: dir, env: {}, logLevel: "silent" });
  const post = async (path: string, body: object): Promise<unknown> => {
    const init = { method: "POST", body: JSON.stringify(body) };
    return (await server.fetch(new Request(`http://localhost${path}`, init))).json();
  };
  const { thread_id: threadId } = (await post("/threads", {})) as { thread_id: string };
  const input = { messages: [{ role: "user", content: "hush" }] };
  await post(`/threads/${threadId}/runs/wait`, { assistant_id: "echo", input });
  await server.close();

  const [k1, k2] = [newKey("k1"), newKey("k2")];
  const encrypt = (keys: string | undefined, ...flags: readonly string[]) =>
    heddle(["encrypt", "--storage", "sqlite:./e.db", ...flags], {
      cwd: dir,
      env: keys === undefined ? {} : { HEDDLE_ENCRYPTION_KEY: keys },
    });
  expect(encrypt(undefined, "--rewrite")).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("no keys") as string,
  });
  expect(encrypt(k1)).toMatchObject({ status: 1, stderr: expect.stringContaining("--rewrite, --decrypt") as string });
  const counted = encrypt(k1, "--dry-run");
  expect(counted.status).toBe(2);
  expect(counted.stdout).toMatch(/checkpoints: values\s+\d+ clear[^]*would be rewritten/);
  const rewritten = encrypt(k1, "--rewrite");
  expect(rewritten.status).toBe(0);
  expect(rewritten.stdout).toMatch(/done.*everything is under the key "k1"/);
  expect(rewritten.stdout).not.toContain(k1.slice(3));
  expect(encrypt(k1, "--dry-run").status).toBe(0);
  const lost = encrypt(k2, "--rewrite");
  expect(lost.status).toBe(1);
  expect(lost.stdout).toMatch(/key "k1"[^]*cannot be decrypted/);
  expect(encrypt(`${k2},${k1}`, "--rewrite").status).toBe(0);
  expect(encrypt(k2, "--decrypt").status).toBe(0);
});
