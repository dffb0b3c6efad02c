import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { describe, expect, it } from "vitest";
import { agentexStates } from "../../../src/protocols/agentex-states/index.js";
import { openHttpApp } from "../../http/app.js";

/** Knows everybody, and lets nobody but `ann` do anything. */
const auth = () =>
  new Auth()
    .authenticate((request) => {
      const name = /^Bearer (\w+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      if (name === undefined) throw new HTTPException(401, { message: "Who are you?" });
      return { identity: name, permissions: [] };
    })
    .on("*", ({ user }) => user.identity === "ann");

const id = "01a2058d-d664-76a5-9edf-0bfaba0c5a7a";
const at = { thread_id: id, checkpoint_id: "1f0" };
const REQUESTS: readonly (readonly [method: string, path: string, body?: object])[] = [
  ["POST", "/states", { task_id: id, agent_id: "a", state: {} }],
  ["GET", "/states"],
  ["GET", `/states?task_id=${id}`],
  ["GET", `/states/${id}`],
  ["PUT", `/states/${id}`, { state: {} }],
  ["DELETE", `/states/${id}`],
  ["POST", "/checkpoints/get-tuple", at],
  ["POST", "/checkpoints/put", { ...at, checkpoint: {} }],
  ["POST", "/checkpoints/put-writes", { ...at, writes: [{ task_id: "t", idx: 0, channel: "c", blob: "" }] }],
  ["POST", "/checkpoints/put-writes", { ...at, writes: [] }],
  ["POST", "/checkpoints/list", at],
  ["POST", "/checkpoints/delete-thread", at],
  ["GET", "/tasks"],
  ["GET", "/tasks?status=TERMINATED"],
  ["GET", `/tasks/${id}`],
  ["GET", "/tasks/no-uuid"],
  ["GET", "/tasks/name/any"],
  ["DELETE", `/tasks/${id}`],
  ["DELETE", "/tasks/name/any"],
];

describe("who may do nothing", () => {
  it("is refused by every operation, and told why; who is not known gets 401", async () => {
    const app = await openHttpApp({ protocols: [agentexStates()], auth: auth() });
    const send = async (name: string | null, method: string, path: string, body?: object) => {
      const headers = name === null ? {} : { authorization: `Bearer ${name}` };
      const response = await app.request(method, `/agentex${path}`, body, { headers });
      return { path, status: response.status };
    };
    for (const [method, path, body] of REQUESTS) {
      expect(await send("bob", method, path, body)).toEqual({ path, status: 403 });
      expect(await send(null, method, path, body)).toEqual({ path, status: 401 });
      expect((await send("ann", method, path, body)).status).toBeOneOf([200, 204, 404]);
    }
  });
});
