import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StorageName } from "../support/server.js";
import { CASES, PROTOCOL_CASES, protocolRoutes, servedRoutes } from "./cases/index.js";
import type { Cases, Variant } from "./cases/variant.js";
import { expectNothingOf, outcomeOf, plainer, saidOf, wholeOf } from "./compared.js";
import { activeOwner, following } from "./following.js";
import type { Profile } from "./profiles.js";
import { type Answer, serve, type Served, type User } from "./served.js";
import { type Ids, makeOwn, makeThings, missingIds, NOBODY, OWNER, viewOf } from "./things.js";

/** Which routes of `CASES` are walked, and how many variants of each. */
export interface Selection {
  readonly variants: number;
}

interface Asker {
  readonly user: User;
  readonly own: Ids;
}

const methodOf = (route: string): string => route.slice(0, route.indexOf(" "));

/** Every route, as somebody else, as nobody, and as somebody who may do nothing. */
export function walk(storage: StorageName, profile: Profile, { variants }: Selection): void {
  describe(`${storage}, ${profile.name}`, () => {
    let served: Served;
    let ids: Ids;
    let before: readonly string[];
    const found = new Map<Variant, Answer>();
    let strangers = 0;
    const noIds = () => missingIds(profile.labelsOf(NOBODY), profile.tenantOf(NOBODY));
    const stranger = (): Promise<User> => served.user(`stranger${(strangers += 1)}`);
    const routes = Object.entries(Object.assign({}, CASES, ...Object.values(PROTOCOL_CASES)) as Cases).map(
      ([route, all]) => [route, all.slice(0, variants)] as const,
    );

    beforeAll(async () => {
      served = await serve(storage, profile);
      for (const [route, all] of routes) {
        for (const variant of all.filter(({ lists }) => lists)) {
          const user = await stranger();
          const probe = variant.request(noIds(), noIds());
          found.set(variant, await user.ask(methodOf(route), probe));
        }
      }
      ids = await makeThings(await served.user(OWNER));
      before = await viewOf(await served.user(OWNER), ids);
    });
    afterAll(() => served.close());

    it("there is a case for every route that is served, and no more", async () => {
      const forgotten: string[] = [];
      for (const route of servedRoutes(served)) {
        if (Object.hasOwn(CASES, route) || (await isRefusedToAll(served, route))) continue;
        forgotten.push(`route ${route} has no isolation case`);
      }
      expect(forgotten).toEqual([]);
      expect(Object.keys(CASES).filter((route) => !servedRoutes(served).includes(route))).toEqual([]);
    });

    it("there is a case for every route of every protocol, and no more", () => {
      const names = served.protocols.map(({ name }) => name);
      expect(Object.keys(PROTOCOL_CASES).toSorted()).toEqual(names.toSorted());
      for (const protocol of served.protocols) {
        const known = Object.keys(PROTOCOL_CASES[protocol.name] ?? {});
        expect(known.toSorted(), protocol.name).toEqual(protocolRoutes(protocol).toSorted());
      }
    });

    it.each(routes)("%s", async (route, all) => {
      for (const variant of all) {
        const at = { route, variant: variant.name };
        if (variant.follows) await comparesFollowing(at, variant);
        else await comparesAnswers(at, variant);
        await refusesNobody(at, variant);
        await refusesDenied(at, variant);
      }
      // Where it costs little the culprit is named at once.
      const after = storage === "memory" ? await viewOf(await served.user(OWNER), ids) : before;
      expect(after).toEqual(before);
    });

    it("the owner sees what was there before, byte by byte", async () => {
      expect(await viewOf(await served.user(OWNER), ids)).toEqual(before);
    });

    /** Two users for each route, who ask the same: one about what is hidden, one about what is missing. */
    const pairs = new Map<string, Promise<readonly [Asker, Asker]>>();
    const asker = async (needsOwn: boolean): Promise<Asker> => {
      const user = await stranger();
      return { user, own: needsOwn ? await makeOwn(user) : nothingOf(user) };
    };
    const nothingOf = ({ labels, tenant }: User) => missingIds(labels, tenant);
    const newPair = async (needsOwn: boolean) => [await asker(needsOwn), await asker(needsOwn)] as const;
    const pairOf = (route: string, { needsOwn: owns, isAlone, lists }: Variant) => {
      const needsOwn = owns === true;
      if (isAlone || lists) return newPair(needsOwn);
      const key = `${route} ${needsOwn}`;
      const pair = pairs.get(key) ?? newPair(needsOwn);
      pairs.set(key, pair);
      return pair;
    };

    /** What is hidden is answered as what is missing. */
    const comparesAnswers = async (at: { readonly route: string }, variant: Variant): Promise<void> => {
      const [first, second] = await pairOf(at.route, variant);
      const method = methodOf(at.route);
      const probe = variant.request(ids, first.own);
      const hidden = await first.user.ask(method, probe);
      expectNothingOf(ids, [probe, first.own], wholeOf(hidden), JSON.stringify(at));
      const missing = found.get(variant) ?? (await second.user.ask(method, variant.request(noIds(), second.own)));
      const differs = variant.differs ?? (profile.store === "filters" ? variant.differsByFilter : undefined);
      if (differs !== undefined) {
        const { section: _, ...wanted } = differs;
        expect({ ...at, hidden: outcomeOf(hidden), missing: outcomeOf(missing) }).toEqual({ ...at, ...wanted });
        return;
      }
      const plain = plainer([OWNER, NOBODY, ...allStrangers()]);
      expect({ ...at, ...saidOf(hidden, plain()) }).toEqual({ ...at, ...saidOf(missing, plain()) });
      expect({ ...at, isFault: hidden.status >= 500 }).toEqual({ ...at, isFault: false });
    };
    const allStrangers = () => Array.from({ length: strangers }, (_, index) => `stranger${index + 1}`);

    /** What is hidden tells as much as what is missing while its owner goes on, and it is not over sooner. */
    const comparesFollowing = async (at: { readonly route: string }, variant: Variant): Promise<void> => {
      const user = await stranger();
      const owner = await served.user(OWNER);
      const { threadId, stateWorkflow, goOn } = await activeOwner(owner, ids);
      const [hidden, other] = [{ ...ids, threadId, stateWorkflow }, noIds()];
      const streams = [];
      for (const target of [hidden, other]) {
        streams.push(await user.open(methodOf(at.route), variant.request(target, target)));
      }
      await goOn();
      const said = streams.map((stream) => ({ ...at, ...following(stream, plainer([])()) }));
      for (const stream of streams) stream.close();
      expect(said[0]).toEqual(said[1]);
    };

    /** Nobody is known without credentials; what is public is the same for all, and holds nothing of theirs. */
    const refusesNobody = async (at: { readonly route: string }, variant: Variant): Promise<void> => {
      const probe = variant.request(ids, ids);
      const wrong = {
        ...probe,
        headers: { ...probe.headers, authorization: "Basic YTpi", "x-auth-scheme": "langsmith" },
      };
      for (const sent of [probe, wrong]) {
        const answer = await served.anonymous.ask(methodOf(at.route), sent);
        expectNothingOf(ids, probe, wholeOf(answer), JSON.stringify(at));
        if (!variant.isPublic) expect({ ...at, status: answer.status }).toEqual({ ...at, status: 401 });
        else expect({ ...at, isOpen: answer.status < 500 && answer.status !== 401 }).toEqual({ ...at, isOpen: true });
      }
    };

    /** Whoever may do nothing is refused by every route: one that answers otherwise has asked no authorization. */
    const refusesDenied = async (at: { readonly route: string }, variant: Variant): Promise<void> => {
      if (variant.isPublic || variant.asksNobody !== undefined) return;
      const user = await served.denied();
      for (const target of [ids, noIds()]) {
        const answer = await user.ask(
          methodOf(at.route),
          variant.request(target, variant.needsOwn ? target : nothingOf(user)),
        );
        const outcome = outcomeOf(answer);
        const isRefused = outcome === 403 || outcome === "permission_denied";
        expect({ ...at, outcome, isRefused }).toEqual({ ...at, outcome, isRefused: true });
      }
    };
  });
}

/** Preflights and methods that a path does not have. Asked by itself, since a path may be another route's parameter, too. */
async function isRefusedToAll({ server }: Served, route: string): Promise<boolean> {
  const [method = "", path = ""] = route.split(" ");
  const alone = new Hono();
  for (const served of server.app.routes) {
    if (served.method === method && served.path === path) alone.on(method, path, served.handler);
  }
  const { status } = await alone.request(path.replaceAll(/:\w+/g, "x"), { method });
  return method === "OPTIONS" ? status === 204 : status === 405;
}
