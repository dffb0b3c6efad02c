import type { Caller } from "../../core/auth.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { StreamTicket } from "../../core/stream-ticket.js";
import { AWKWARD_JSON } from "./json-cases.js";
import { type StoreSuite, uuid, withStoreOf } from "./suite.js";

const digest = (n: number): string => n.toString(16).padStart(64, "0");
const CALLER: Caller = {
  identity: "ada",
  permissions: ["threads:read"],
  user: { identity: "ada", ...AWKWARD_JSON },
  validUntil: 1_767_225_600_123,
  credential: digest(99),
};
const TTL_MS = 30_000;

const ticketOf = (n: number, ticket: Partial<StreamTicket> = {}): StreamTicket => ({
  digest: digest(n),
  caller: CALLER,
  threadId: null,
  ...ticket,
});

/** The contract of `MetadataStore.tickets`. */
export function testStreamTicketStore(suite: StoreSuite<MetadataStore>): void {
  const { describe, it, expect } = suite.vitest;
  const withStore = withStoreOf(suite);
  describe(`StreamTicketStore: ${suite.name}`, () => {
    it(
      "gives a ticket to whoever claims it first, with its caller as it was, and to nobody else",
      withStore(async ({ store: { tickets }, clock }) => {
        const bound = ticketOf(1, { threadId: uuid(1) });
        const anonymous = ticketOf(2, { caller: { identity: null, permissions: [], user: null } });
        expect(await tickets.issue({ ticket: bound, ttlMs: TTL_MS })).toBe(clock.now() + TTL_MS);
        await tickets.issue({ ticket: anonymous, ttlMs: TTL_MS });
        expect(await tickets.claim({ digest: digest(3) })).toBeNull();
        expect(await tickets.claim({ digest: digest(1) })).toEqual(bound);
        expect(await tickets.claim({ digest: digest(1) })).toBeNull();
        expect(await tickets.claim({ digest: digest(2) })).toEqual(anonymous);
      }),
    );

    it(
      "gives it once, however many ask at the same time",
      withStore(async ({ store: { tickets } }) => {
        await tickets.issue({ ticket: ticketOf(1), ttlMs: TTL_MS });
        const claimed = await Promise.all(Array.from({ length: 20 }, () => tickets.claim({ digest: digest(1) })));
        expect(claimed.filter((ticket) => ticket !== null)).toEqual([ticketOf(1)]);
      }),
    );

    it(
      "gives an expired one to nobody",
      withStore(async ({ store: { tickets }, clock }) => {
        await tickets.issue({ ticket: ticketOf(1), ttlMs: TTL_MS });
        await tickets.issue({ ticket: ticketOf(2), ttlMs: TTL_MS });
        clock.advance(TTL_MS - 1);
        expect(await tickets.claim({ digest: digest(1) })).not.toBeNull();
        clock.advance(1);
        expect(await tickets.claim({ digest: digest(2) })).toBeNull();
      }),
    );

    it(
      "removes expired ones as new ones come, and no others",
      withStore(async ({ store: { tickets }, clock }) => {
        for (let n = 0; n < 40; n += 1) await tickets.issue({ ticket: ticketOf(n), ttlMs: n % 2 === 0 ? 1 : TTL_MS });
        clock.advance(2);
        for (let n = 40; n < 50; n += 1) await tickets.issue({ ticket: ticketOf(n), ttlMs: TTL_MS });
        for (let n = 0; n < 50; n += 1) {
          const claimed = await tickets.claim({ digest: digest(n) });
          expect(claimed === null, `ticket ${n}`).toBe(n < 40 && n % 2 === 0);
        }
      }),
    );
  });
}
