import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Listener, listen } from "../../src/node/listen.js";
import { COMMANDS } from "../../src/protocols/event-stream/answer-command.js";
import type { StorageName } from "../support/server.js";
import { commandCases, type CommandVariant } from "./cases/commands.js";
import { expectNothingOf, outcomeOf, plainer } from "./compared.js";
import { activeOwner } from "./following.js";
import { OWNERS, type Profile, TENANTS } from "./profiles.js";
import { serve, type Served, type User } from "./served.js";
import { openSocket } from "./socket.js";
import { type Ids, makeOwn, makeThings, missingIds, NOBODY, OWNER, viewOf } from "./things.js";

it("there is a case for every command, and no more", () => {
  const known = Object.keys(commandCases).filter((method) => method !== "nothing.known");
  expect(known.toSorted()).toEqual([...COMMANDS].toSorted());
});

/** Every command over a WebSocket: `subscription.*` lives there alone. */
function walkSockets(storage: StorageName, profile: Profile): void {
  describe(`${storage}, ${profile.name}`, () => {
    let served: Served;
    let listener: Listener;
    let ids: Ids;
    let before: readonly string[];
    let strangers = 0;
    const noIds = () => missingIds(profile.labelsOf(NOBODY), profile.tenantOf(NOBODY));
    const stranger = () => served.user(`stranger${(strangers += 1)}`);
    const plain = () => plainer([OWNER, NOBODY])();

    beforeAll(async () => {
      served = await serve(storage, profile);
      listener = await listen(served.server, { port: 0, fastResponses: false });
      ids = await makeThings(await served.user(OWNER));
      before = await viewOf(await served.user(OWNER), ids);
    });
    afterAll(async () => {
      await listener.close({ graceMs: 0 });
      await served.close();
    });

    const open = (threadId: string, headers: User["headers"]) =>
      openSocket(`${listener.url}/threads/${threadId}/stream/events`, headers);
    const send = async (headers: User["headers"], variant: CommandVariant, method: string, about: Ids, own: Ids) => {
      const { threadOf = ({ threadId }) => threadId, params } = variant;
      const socket = await open(threadOf(about, own), headers);
      return { socket, frame: await socket.command(method, params(about, own)) };
    };

    it.each(Object.entries(commandCases))("%s", async (method, variants) => {
      for (const variant of variants) {
        const at = { method, variant: variant.name };
        const user = await stranger();
        const sent = [];
        for (const about of [ids, noIds()]) {
          const own = variant.needsOwn === true ? await makeOwn(user) : noIds();
          const one = await send(user.headers, variant, method, about, own);
          const told = one.socket.frames.join("\n");
          expectNothingOf(ids, [about, own], told, JSON.stringify(at));
          sent.push({ ...at, told: plain()(told), closed: one.socket.closed(), outcome: outcomeIn(one.frame) });
          one.socket.close();
        }
        const [hidden, missing] = sent;
        const { section: _, ...wanted } = variant.differs ?? {
          section: "",
          hidden: missing?.outcome,
          missing: missing?.outcome,
        };
        expect({ ...at, hidden: hidden?.outcome, missing: missing?.outcome }).toEqual({ ...at, ...wanted });
        expect(hidden).toEqual(variant.differs === undefined ? missing : hidden);
      }
    });

    it.each(Object.entries(commandCases))("%s, of nobody and of who may do nothing", async (method, variants) => {
      const denied = await served.denied();
      for (const variant of variants) {
        const at = { method, variant: variant.name };
        for (const about of [ids, noIds()]) {
          const one = await send(denied.headers, variant, method, about, about);
          const wanted = method === "subscription.unsubscribe" ? "no_such_subscription" : "permission_denied";
          expect({ ...at, outcome: outcomeIn(one.frame) }).toEqual({
            ...at,
            outcome: method === "nothing.known" ? "unknown_command" : wanted,
          });
          one.socket.close();
          const nobody = await send({}, variant, method, about, about);
          expect({
            ...at,
            frames: nobody.socket.frames,
            code: nobody.socket.closed()?.code,
          }).toEqual({
            ...at,
            frames: [],
            code: 4401,
          });
        }
      }
    });

    it("tells a subscriber of a hidden thread as much as one of a missing one, while its owner goes on", async () => {
      const owner = await served.user(OWNER);
      const { threadId, goOn } = await activeOwner(owner, ids);
      const user = await stranger();
      const sockets = [await open(threadId, user.headers), await open(noIds().threadId, user.headers)];
      for (const socket of sockets) {
        await socket.command("subscription.subscribe", { channels: ["values", "lifecycle", "messages", "updates"] });
      }
      await goOn();
      for (const socket of sockets) await socket.command("state.get", {});
      const [hidden, missing] = sockets.map(({ frames, closed }) => ({ told: frames.map(plain()), closed: closed() }));
      expect(hidden).toEqual(missing);
      expect(missing?.told).toHaveLength(2);
      for (const socket of sockets) socket.close();
    });

    it("opens for a ticket as for who asked for it, once, and only the stream that it is for", async () => {
      const owner = await served.user(OWNER);
      const user = await stranger();
      const ticketOf = async (who: User, threadId?: string) =>
        (await who.json<{ ticket: string }>("POST", "/auth/tickets", { thread_id: threadId })).ticket;
      const opened = async (threadId: string, ticket: string) => {
        const socket = await openSocket(`${listener.url}/threads/${threadId}/stream/events?ticket=${ticket}`, {});
        const frame = await socket.command("state.get", {});
        socket.close();
        return frame === null ? socket.closed()?.code : outcomeIn(frame);
      };
      const ticket = await ticketOf(owner, ids.threadId);
      expect(await opened(ids.threadId, ticket)).toBe("success");
      expect(await opened(ids.threadId, ticket)).toBe(4401);
      expect(await opened(ids.interruptedId, await ticketOf(owner, ids.threadId))).toBe(4401);
      expect(await opened(ids.threadId, await ticketOf(user))).toBe("no_such_run");
      const other = await ticketOf(user);
      expect((await served.anonymous.ask("GET", { path: `/threads/${ids.threadId}?ticket=${other}` })).status).toBe(
        401,
      );
      const stream = `/threads/${ids.threadId}/runs/${ids.runId}/stream?ticket=${other}`;
      expect((await served.anonymous.ask("GET", { path: stream })).status).toBe(404);
    });

    it("leaves the owner's things as they were", async () => {
      expect(await viewOf(await served.user(OWNER), ids)).toEqual(before);
    });
  });
}

const outcomeIn = (frame: string | null): number | string => outcomeOf({ status: 0, text: frame ?? "" });

walkSockets("memory", OWNERS);
walkSockets("memory", TENANTS);
walkSockets("postgres", TENANTS);
