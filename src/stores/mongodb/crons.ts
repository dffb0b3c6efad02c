import type { Filter, Sort } from "mongodb";
import type { AccessFilter } from "../../core/auth.js";
import type {
  ClaimedCron,
  Cron,
  CronCreator,
  CronPayload,
  CronQuery,
  CronSortField,
  CronStore,
} from "../../core/cron.js";
import { planFilter, termsOf } from "../../core/filter-terms.js";
import { type EpochMs, toJsonText } from "../../core/json.js";
import type { Page, PageRequest } from "../../core/metadata-store.js";
import { startTimeSlice } from "../time-slice.js";
import { cronWithout } from "../transfer-rows.js";
import type { CronDocument } from "./documents.js";
import { fireCron } from "./fire-cron.js";
import { insertOnce } from "./insert-once.js";
import { parseObject, showsMetadata } from "./rows.js";
import type { Session } from "./session.js";

const SORT_FIELDS: Readonly<Record<CronSortField, keyof CronDocument>> = {
  cron_id: "_id",
  assistant_id: "assistantId",
  thread_id: "threadKey",
  next_run_date: "nextRunKey",
  end_time: "endKey",
  created_at: "createdAt",
  updated_at: "updatedAt",
};

/** After every string and every time: what is `null` sorts as the greatest, which in BSON it is not. */
const LAST_TEXT = "\u{10FFFF}";
const LAST_TIME = Number.MAX_SAFE_INTEGER;

/** Crons in MongoDB. How a tick and its run become one: fire-cron.ts. */
export function createMongoCrons(session: Session): CronStore {
  const { crons } = session;

  const visible = async (cronId: string, access: AccessFilter): Promise<CronDocument | null> => {
    const document = await session.retrying(() => crons.findOne({ _id: cronId }));
    return document !== null && showsMetadata(access, document.metadata) ? document : null;
  };

  return {
    async create({ draft }) {
      if ((await missingOf(session, draft)) !== null) return { kind: "gone" };
      const now = session.now();
      const cron: Cron = { ...draft, revision: 1, createdAt: now, updatedAt: now };
      await session.retrying(() => insertOnce(crons, newDocument(cron)));
      return { kind: "created", cron };
    },

    async get({ cronId, access }) {
      const document = await visible(cronId, access);
      return document && cronOf(document);
    },

    async update({ cronId, revision, change, access }) {
      const document = await visible(cronId, access);
      if (document === null) return { kind: "not-found" };
      if (document.revision !== revision) return { kind: "changed" };
      const cron: Cron = { ...cronOf(document), ...change, revision: revision + 1, updatedAt: session.now() };
      const { nextRunAt, nextRunKey, ...fields } = fieldsOf(cron);
      const { matchedCount } = await session.retrying(() =>
        crons.updateOne(
          { _id: cronId, revision },
          // The tick that comes next is also changed by whoever fires: what this call does not change must stay.
          { $set: change.nextRunAt === undefined ? fields : { ...fields, nextRunAt, nextRunKey, leaseUntil: 0 } },
        ),
      );
      return matchedCount === 0 ? { kind: "changed" } : { kind: "updated", cron };
    },

    async delete({ cronId, access }) {
      const document = await visible(cronId, access);
      if (document === null) return null;
      await session.retrying(() => crons.deleteOne({ _id: cronId }));
      return cronOf(document);
    },

    search: (params) => searchCrons(session, params),

    async count(query) {
      const { filter, residual } = planOf(query);
      if (residual === null) return session.retrying(() => crons.countDocuments(filter));
      return (await decided(session, filter, residual, { _id: 1 })).length;
    },

    async claimDue({ leaseMs, limit }) {
      const now = session.now();
      const due = await session.retrying(() =>
        crons
          .find({ nextRunAt: { $lte: now }, leaseUntil: { $lte: now } })
          .sort({ nextRunAt: 1, _id: 1 })
          .limit(limit)
          .toArray(),
      );
      const claimed: ClaimedCron[] = [];
      for (const document of due) {
        const { _id, nextRunAt, leaseToken, revision } = document;
        if (nextRunAt === null) continue;
        const { matchedCount } = await session.retrying(() =>
          crons.updateOne(
            { _id, nextRunAt, leaseToken, revision },
            { $set: { leaseToken: leaseToken + 1, leaseUntil: now + leaseMs } },
          ),
        );
        if (matchedCount === 0) continue;
        claimed.push({ cron: { ...cronOf(document), nextRunAt }, leaseToken: leaseToken + 1, now });
      }
      return claimed;
    },

    async nextDueAt() {
      const first = async (filter: Filter<CronDocument>, sort: Sort): Promise<EpochMs | null> => {
        const [found] = await session.retrying(() => crons.find(filter).sort(sort).limit(1).toArray());
        return found?.nextRunAt === undefined || found.nextRunAt === null
          ? null
          : Math.max(found.nextRunAt, found.leaseUntil);
      };
      const [free, claimed] = await Promise.all([
        first({ nextRunAt: { $gte: 0 }, leaseUntil: 0 }, { nextRunAt: 1 }),
        first({ nextRunAt: { $gte: 0 }, leaseUntil: { $gt: 0 } }, { leaseUntil: 1 }),
      ]);
      const times = [free, claimed].filter((at) => at !== null);
      return { now: session.now(), at: times.length === 0 ? null : Math.min(...times) };
    },

    fire: (params) => fireCron(session, params),

    async skip({ cronId, leaseToken, next }) {
      const { matchedCount } = await session.retrying(() =>
        crons.updateOne(
          { _id: cronId, leaseToken, leaseUntil: { $gt: 0 } },
          { $set: { nextRunAt: next, nextRunKey: next ?? LAST_TIME, leaseUntil: 0 } },
        ),
      );
      return matchedCount > 0;
    },
  };
}

/** A page of crons, and how many match. */
async function searchCrons(
  session: Session,
  { limit, offset, sortBy, sortOrder, ...query }: CronQuery & PageRequest<CronSortField>,
): Promise<Page<Cron>> {
  const { crons } = session;
  const { filter, residual } = planOf(query);
  const direction = sortOrder === "asc" ? 1 : -1;
  const field = SORT_FIELDS[sortBy];
  const sort: Sort = field === "_id" ? { _id: direction } : { [field]: direction, _id: direction };
  if (residual === null) {
    const [total, found] = await Promise.all([
      session.retrying(() => crons.countDocuments(filter)),
      limit <= 0 ? [] : session.retrying(() => crons.find(filter, { sort }).skip(offset).limit(limit).toArray()),
    ]);
    return { rows: found.map(cronOf), total };
  }
  const ids = await decided(session, filter, residual, sort);
  const page = ids.slice(offset, offset + Math.max(limit, 0));
  const found = await session.retrying(() => crons.find({ _id: { $in: page } }).toArray());
  const byId = new Map(found.map((document) => [document._id, document]));
  const rows = page.map((id) => byId.get(id)).filter((document) => document !== undefined);
  return { rows: rows.map(cronOf), total: ids.length };
}

/** @returns ids in order; every one that may match is decided on, a batch in memory at a time */
async function decided(
  session: Session,
  filter: Filter<CronDocument>,
  residual: (document: Pick<CronDocument, "metadata">) => boolean,
  sort: Sort,
): Promise<readonly string[]> {
  return session.retrying(async () => {
    const ids: string[] = [];
    const slice = startTimeSlice();
    for await (const document of session.crons.find(filter, { projection: { metadata: 1 }, sort, batchSize: 200 })) {
      if (residual(document)) ids.push(document._id);
      if (slice.isOver()) await slice.next();
    }
    return ids;
  });
}

function planOf({ assistantId, threadId, enabled, metadata, access }: CronQuery): {
  readonly filter: Filter<CronDocument>;
  readonly residual: ((document: Pick<CronDocument, "metadata">) => boolean) | null;
} {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  return {
    filter: {
      ...(assistantId === undefined ? {} : { assistantId }),
      ...(threadId === undefined ? {} : { threadId }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(terms.length === 0 ? {} : { terms: { $all: [...terms] } }),
    },
    residual: residual === null ? null : (document) => residual(parseObject(document.metadata)),
  };
}

/** A cron of a copy, in place of one of the same id. @throws HeddleError `ASSISTANT_NOT_FOUND`, `THREAD_NOT_FOUND` */
export async function putCron(session: Session, cron: Cron): Promise<void> {
  const missing = await missingOf(session, cron);
  if (missing !== null) throw cronWithout(cron, missing);
  const replacement = newDocument(cron);
  await session.retrying(() => session.crons.replaceOne({ _id: cron.cronId }, replacement, { upsert: true }));
}

/** What a cron goes with and is not there. */
async function missingOf(
  session: Session,
  { assistantId, threadId }: Pick<Cron, "assistantId" | "threadId">,
): Promise<"assistant" | "thread" | null> {
  const projection = { _id: 1 } as const;
  const assistant = await session.retrying(() => session.assistants.findOne({ _id: assistantId }, { projection }));
  if (assistant === null) return "assistant";
  if (threadId === null) return null;
  return (await session.retrying(() => session.threads.findOne({ _id: threadId }, { projection }))) === null
    ? "thread"
    : null;
}

/** @param cron with its revision and times */
function newDocument(cron: Cron): CronDocument {
  const { cronId, createdAt } = cron;
  return { _id: cronId, ...fieldsOf(cron), leaseToken: 0, leaseUntil: 0, firing: null, createdAt };
}

/** What an update writes. */
function fieldsOf(cron: Cron): Omit<CronDocument, "_id" | "leaseToken" | "leaseUntil" | "firing" | "createdAt"> {
  const { assistantId, threadId, endTime, nextRunAt, metadata } = cron;
  return {
    assistantId,
    threadId,
    threadKey: threadId ?? LAST_TEXT,
    schedule: cron.schedule,
    timezone: cron.timezone,
    endTime,
    endKey: endTime ?? LAST_TIME,
    enabled: cron.enabled,
    onRunCompleted: cron.onRunCompleted,
    multitaskStrategy: cron.multitaskStrategy,
    payload: JSON.stringify(cron.payload),
    metadata: toJsonText(metadata),
    terms: termsOf(metadata),
    creator: JSON.stringify(cron.creator),
    nextRunAt,
    nextRunKey: nextRunAt ?? LAST_TIME,
    revision: cron.revision,
    updatedAt: cron.updatedAt,
  };
}

export function cronOf(document: CronDocument): Cron {
  return {
    cronId: document._id,
    assistantId: document.assistantId,
    threadId: document.threadId,
    schedule: document.schedule,
    timezone: document.timezone,
    endTime: document.endTime,
    enabled: document.enabled,
    onRunCompleted: document.onRunCompleted,
    multitaskStrategy: document.multitaskStrategy,
    payload: JSON.parse(document.payload) as CronPayload,
    metadata: parseObject(document.metadata),
    creator: JSON.parse(document.creator) as CronCreator,
    nextRunAt: document.nextRunAt,
    revision: document.revision,
    createdAt: document.createdAt,
    updatedAt: document.updatedAt,
  };
}
