import { createHash } from "node:crypto";
import { z } from "zod";
import { v4 } from "uuid";
import type { Caller, Grant } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { isItemVisible } from "../../core/item-filter.js";
import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordKey, RecordStore, StoredRecord } from "../../core/record.js";
import type { Authorize } from "../../services/authorization.js";
import { isRefusal } from "../../services/authorization.js";
import { decode } from "../../wire/decode.js";
import { encodeList } from "../../wire/json.js";
import { jsonObject, strings } from "../../wire/schema.js";
import { addWithin } from "./bounded-set.js";
import { wireCode } from "./errors.js";
import { MAX_AGENTS, MAX_METADATA_BYTES } from "./limits.js";
import { SPACES } from "./places.js";
import { Turns } from "./turns.js";
import { boundedBytes } from "./wire.js";

const AGENT_ID = /^[A-Za-z0-9_-]{1,255}$/;

const fields = {
  name: z.string().max(1024).transform(plainName).nullish(),
  description: z.string().max(4096).nullish(),
  capabilities: strings.nullish(),
  metadata: jsonObject.nullish(),
};

export const agentBody = z
  .strictObject({ agent_id: z.string().regex(AGENT_ID, "expected 1 to 255 of A-Z a-z 0-9 _ -"), ...fields })
  .meta({ id: "SnapStateAgent" });

export const agentPatch = z
  .strictObject(fields)
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), "has nothing to change")
  .meta({ id: "SnapStateAgentPatch" });

/** Control characters and markup are stripped; 255 characters at most remain. */
function plainName(name: string): string {
  const plain = name
    .replaceAll(/<[^<>]*>/g, "")
    .replaceAll(/[<>]/g, "")
    // eslint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "");
  return Array.from(plain.trim()).slice(0, 255).join("");
}

/** What its owner says of it. */
interface AgentFields {
  readonly name: string;
  readonly description: string | null;
  readonly capabilities: readonly string[];
  readonly metadata: JsonObject;
}

/** An agent as it is kept; `createdAt` is its record's. */
interface Agent extends AgentFields {
  readonly id: string;
  readonly lastSeenAt: EpochMs | null;
}

const NAMESPACE = ["snapstate", "agents"];
/** Several requests may change one agent; each attempt takes what the others left. */
const ATTEMPTS = 100;

/** What writes to an account's states (docs/wire/snapstate.md §1.1, agents). */
export class Agents {
  readonly #records: RecordStore;
  readonly #authorize: Authorize;
  readonly #itemPrefix: (caller: Caller) => readonly string[];
  /** Of an account's set, within this process: those that come at once need not all try again and again. */
  readonly #turns = new Turns();

  constructor(deps: {
    readonly records: RecordStore;
    readonly authorize: Authorize;
    readonly itemPrefix: (caller: Caller) => readonly string[];
  }) {
    this.#records = deps.records;
    this.#authorize = deps.authorize;
    this.#itemPrefix = deps.itemPrefix;
  }

  /** Make it, or replace all its fields. @throws HeddleError `INVALID_REQUEST`, also for one more than there may be */
  async put(caller: Caller, body: unknown): Promise<JsonText> {
    const { agent_id: agentId, ...given } = decode(agentBody, body);
    const agent = { ...BLANK, ...present(given) };
    const { place, sees } = await this.#place(caller, "put", agentId, shown(agent));
    const attempt = async (): Promise<StoredRecord | null> => {
      const found = await this.#records.get({ ...place, key: agentId });
      if (found !== null) {
        const { id, lastSeenAt } = agentOf(found);
        if (!sees(found)) throw notFound(agentId);
        return this.#write(found, { ...agent, id, lastSeenAt });
      }
      const value = valueOf({ ...agent, id: v4(), lastSeenAt: null });
      const write = { ...place, key: agentId, expected: 0, value };
      const outcome = await addWithin(this.#records, { set: setKey(place), max: MAX_AGENTS, write });
      if (outcome.kind === "full") throw full();
      return outcome.kind === "added" ? outcome.record : null;
    };
    return this.#turns.run(`${place.owner}\0${place.collection}`, () => this.#change(attempt));
  }

  /** Those seen last come first, then those made last. */
  async list(caller: Caller): Promise<JsonText> {
    const asked = { namespace: [...this.#itemPrefix(caller), ...NAMESPACE] };
    const { place, sees } = granted(caller, await this.#authorize(caller, "store", "search", asked));
    const page = { order: "created", direction: "desc", limit: 2 * MAX_AGENTS, offset: 0 } as const;
    const found = (await this.#records.list({ ...place, ...page })).filter(sees);
    const seen = (record: StoredRecord): number => agentOf(record).lastSeenAt ?? -Infinity;
    const sorted = found.toSorted((a, b) => (seen(a) === seen(b) ? 0 : seen(b) > seen(a) ? 1 : -1));
    return `{"agents":${encodeList(sorted.map(encodeAgent))}}` as JsonText;
  }

  /** @throws HeddleError `NOT_FOUND` */
  async get(caller: Caller, agentId: string): Promise<JsonText> {
    return encodeAgent(await this.#found(await this.#place(caller, "get", agentId), agentId));
  }

  /** @throws HeddleError `NOT_FOUND`, `INVALID_REQUEST` */
  async patch(caller: Caller, agentId: string, body: unknown): Promise<JsonText> {
    const patch = present(decode(agentPatch, body));
    const place = await this.#place(caller, "put", agentId, shown({ ...BLANK, ...patch }));
    return this.#change(async () => {
      const found = await this.#found(place, agentId);
      return this.#write(found, { ...agentOf(found), ...patch });
    });
  }

  /** @throws HeddleError `NOT_FOUND` */
  async delete(caller: Caller, agentId: string): Promise<void> {
    const place = await this.#place(caller, "delete", agentId);
    const { key } = await this.#found(place, agentId);
    if ((await this.#records.remove({ ...place.place, key })).kind !== "removed") throw notFound(agentId);
  }

  /** It has just saved. Nothing for an agent that nobody has registered, or that the caller must not see. */
  async seen(caller: Caller, agentId: string, at: EpochMs): Promise<void> {
    if (!AGENT_ID.test(agentId)) return;
    try {
      const { place, sees } = await this.#place(caller, "get", agentId);
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const found = await this.#records.get({ ...place, key: agentId });
        if (found === null || !sees(found)) return;
        const agent = agentOf(found);
        if ((agent.lastSeenAt ?? 0) >= at) return;
        if ((await this.#write(found, { ...agent, lastSeenAt: at })) !== null) return;
      }
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }

  async #place(caller: Caller, action: "put" | "get" | "delete", agentId: string, value?: JsonObject): Promise<Place> {
    const namespace = [...this.#itemPrefix(caller), ...NAMESPACE];
    const asked = { namespace, key: agentId, ...(value !== undefined && { value }) };
    return granted(caller, await this.#authorize(caller, "store", action, asked));
  }

  async #found({ place, sees }: Place, agentId: string): Promise<StoredRecord> {
    const found = AGENT_ID.test(agentId) ? await this.#records.get({ ...place, key: agentId }) : null;
    if (found === null || !sees(found)) throw notFound(agentId);
    return found;
  }

  /** @returns null when somebody else was faster */
  async #write({ space, owner, collection, key, version }: StoredRecord, agent: Agent): Promise<StoredRecord | null> {
    const write = { space, owner, collection, key, expected: version, value: valueOf(agent) };
    const outcome = await this.#records.write(write);
    return outcome.kind === "written" ? outcome.record : null;
  }

  async #change(attempt: () => Promise<StoredRecord | null>): Promise<JsonText> {
    for (let tries = 0; tries < ATTEMPTS; tries += 1) {
      const written = await attempt();
      if (written !== null) return encodeAgent(written);
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", { message: "Agents are changed by too many requests at once." });
  }
}

const BLANK: AgentFields = { name: "", description: null, capabilities: [], metadata: {} };

/** What was sent; what is null is blank. @throws HeddleError `PAYLOAD_TOO_LARGE` */
function present(given: z.output<typeof agentPatch>): Partial<AgentFields> {
  const { metadata, capabilities } = given;
  if (metadata) boundedBytes("metadata", toJsonText(metadata), MAX_METADATA_BYTES);
  if (capabilities) boundedBytes("capabilities", toJsonText(capabilities), MAX_METADATA_BYTES);
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  const blank: Readonly<Record<string, unknown>> = { ...BLANK };
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? blank[name]]));
}

/** Where a caller's agents lie, and which of them it sees. */
interface Place {
  readonly place: Omit<RecordKey, "key">;
  readonly sees: (record: StoredRecord) => boolean;
}

/** Authorization handlers may move agents by their namespace, as items of the store. */
function granted(
  caller: Caller,
  { access, value: { namespace } }: Grant<{ readonly namespace: readonly string[] }>,
): Place {
  const text = JSON.stringify(namespace);
  const collection = text.length <= 512 ? text : createHash("sha256").update(text).digest("base64url");
  return {
    place: { space: SPACES.agents, owner: ownerOf(caller), collection },
    sees: (record) => isItemVisible(access, { namespace, key: record.key, value: shown(agentOf(record)) }),
  };
}

function setKey({ owner, collection }: Omit<RecordKey, "key">): RecordKey {
  return { space: SPACES.agentSets, owner, collection, key: "agents" };
}

/** As authorization handlers see it. */
function shown({ name, description, capabilities, metadata }: AgentFields): JsonObject {
  return { name, description, capabilities: [...capabilities], metadata };
}

function valueOf(agent: Agent): JsonText {
  return toJsonText({ ...agent, capabilities: [...agent.capabilities] });
}

function agentOf({ value }: StoredRecord): Agent {
  return parseJsonText(value) as unknown as Agent & JsonObject;
}

function encodeAgent(record: StoredRecord): JsonText {
  const { id, lastSeenAt, ...agent } = agentOf(record);
  return toJsonText({
    id,
    agent_id: record.key,
    ...shown(agent),
    last_seen_at: lastSeenAt === null ? null : new Date(lastSeenAt).toISOString(),
    created_at: new Date(record.createdAt).toISOString(),
  });
}

function notFound(agentId: string): HeddleError {
  return new HeddleError("NOT_FOUND", { message: `Agent ${agentId} not found`, details: wireCode("AGENT_NOT_FOUND") });
}

function full(): HeddleError {
  return new HeddleError("INVALID_REQUEST", {
    message: `There are ${MAX_AGENTS} agents already: delete one that is no longer needed.`,
    details: wireCode("MAX_AGENTS_REACHED"),
  });
}
