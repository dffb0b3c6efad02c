import type { Filter, Sort } from "mongodb";
import { planFilter } from "../../core/filter-terms.js";
import { type JsonObject, parseJsonText } from "../../core/json.js";
import { jsonContains } from "../../core/metadata-filter.js";
import type { Page, PageRequest, ThreadQuery } from "../../core/metadata-store.js";
import type { Thread, ThreadSortField } from "../../core/thread.js";
import { startTimeSlice } from "../time-slice.js";
import { readBlobs, textOf } from "./blobs.js";
import type { ThreadDocument } from "./documents.js";
import { parseObject, threadOf } from "./rows.js";
import type { Session } from "./session.js";
import { readTexts } from "./thread-state.js";

/** How many threads are decided in one go where the server cannot. */
const THREADS_PER_READ = 200;

const SORT_FIELDS: Readonly<Record<ThreadSortField, "_id" | "status" | "createdAt" | "updatedAt" | "stateUpdatedAt">> =
  {
    thread_id: "_id",
    status: "status",
    created_at: "createdAt",
    updated_at: "updatedAt",
    state_updated_at: "stateUpdatedAt",
  };

/** A row without state. */
const PLAIN = { createdAt: 1, updatedAt: 1, stateUpdatedAt: 1, metadata: 1, config: 1, status: 1, ttl: 1 } as const;

const WITH_STATE = { queue: 0, ended: 0, terms: 0, changes: 0 } as const;

interface Plan {
  readonly filter: Filter<ThreadDocument>;
  /** Decides what the server can't, a batch at a time; `null` when it says everything. */
  readonly decide: ((batch: readonly ThreadDocument[]) => Promise<readonly ThreadDocument[]>) | null;
  readonly projection: Readonly<Record<string, 1>>;
}

/** A page of threads, and how many match. The server pages where the filter is made of terms; else all that may match are read. */
export async function searchThreads(
  session: Session,
  query: ThreadQuery,
  page: PageRequest<ThreadSortField> & { readonly withState: boolean },
): Promise<Page<Thread>> {
  const plan = planOf(session, query);
  if (plan.decide === null) return direct(session, plan, page);
  const { ids, total } = await walk(session, plan, page);
  return { rows: await readPage(session, ids, page.withState), total };
}

/** How many threads match. */
export async function countThreads(session: Session, query: ThreadQuery): Promise<number> {
  const plan = planOf(session, query);
  if (plan.decide === null) return session.retrying(() => session.threads.countDocuments(plan.filter));
  const all = { limit: 0, offset: 0, sortBy: "created_at", sortOrder: "asc" } as const;
  return (await walk(session, plan, all)).total;
}

function planOf(session: Session, { ids, status, metadata, values, access }: ThreadQuery): Plan {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const filter: Filter<ThreadDocument> = {
    ...(ids === undefined ? {} : { _id: { $in: [...ids] } }),
    ...(status === undefined ? {} : { status }),
    ...(terms.length === 0 ? {} : { terms: { $all: [...terms] } }),
  };
  return {
    filter,
    projection: {
      uid: 1,
      ...(residual === null ? {} : { metadata: 1 }),
      ...(values === undefined ? {} : { values: 1 }),
    },
    decide:
      residual === null && values === undefined
        ? null
        : async (batch) => {
            const byMetadata =
              residual === null ? batch : await filtered(batch, ({ metadata: text }) => residual(parseObject(text)));
            // Last: parsing a state is the most expensive question.
            return values === undefined ? byMetadata : withValues(session, byMetadata, values);
          },
  };
}

async function withValues(
  session: Session,
  batch: readonly ThreadDocument[],
  wanted: JsonObject,
): Promise<readonly ThreadDocument[]> {
  const matching: ThreadDocument[] = [];
  const slice = startTimeSlice();
  // One by one where states are large: a batch of them may not fit into memory.
  for (const thread of batch) {
    const blobs = await readBlobs(session, [thread.values]);
    const text = textOf(thread.values, blobs);
    const current = text === undefined ? await latestValues(session, thread) : text;
    if (current !== null && jsonContains(parseJsonText(current), wanted)) matching.push(thread);
    if (slice.isOver()) await slice.next();
  }
  return matching;
}

/** The values of a thread that got new ones while it was read. */
async function latestValues(session: Session, { _id, uid }: ThreadDocument): Promise<Thread["values"]> {
  const thread = await session.retrying(() => session.threads.findOne({ _id, uid }));
  return thread === null ? null : ((await readTexts(session, thread))?.texts.values ?? null);
}

async function filtered(
  batch: readonly ThreadDocument[],
  holds: (thread: ThreadDocument) => boolean,
): Promise<readonly ThreadDocument[]> {
  const slice = startTimeSlice();
  const matching: ThreadDocument[] = [];
  for (const thread of batch) {
    if (holds(thread)) matching.push(thread);
    if (slice.isOver()) await slice.next();
  }
  return matching;
}

interface Found {
  readonly ids: readonly string[];
  readonly total: number;
}

async function direct(
  session: Session,
  { filter }: Plan,
  page: PageRequest<ThreadSortField> & { readonly withState: boolean },
): Promise<Page<Thread>> {
  const { limit, offset, withState } = page;
  const projection = withState ? WITH_STATE : PLAIN;
  const [total, documents] = await Promise.all([
    session.retrying(() => session.threads.countDocuments(filter)),
    limit <= 0
      ? []
      : session.retrying(() =>
          session.threads
            .find(filter, { projection, sort: sortOf(page) })
            .skip(offset)
            .limit(limit)
            .toArray(),
        ),
  ]);
  return { rows: await rowsOf(session, documents, withState), total };
}

async function walk(session: Session, plan: Plan, page: PageRequest<ThreadSortField>): Promise<Found> {
  const { limit, offset } = page;
  return session.retrying(async () => {
    const ids: string[] = [];
    let total = 0;
    let batch: ThreadDocument[] = [];
    const decide = async (): Promise<void> => {
      for (const { _id } of (await plan.decide?.(batch)) ?? batch) {
        if (total >= offset && ids.length < limit) ids.push(_id);
        total += 1;
      }
      batch = [];
    };
    const cursor = session.threads.find(plan.filter, {
      projection: plan.projection,
      sort: sortOf(page),
      batchSize: THREADS_PER_READ,
    });
    for await (const thread of cursor) {
      batch.push(thread);
      if (batch.length >= THREADS_PER_READ) await decide();
    }
    await decide();
    return { ids, total };
  });
}

function sortOf({ sortBy, sortOrder }: Pick<PageRequest<ThreadSortField>, "sortBy" | "sortOrder">): Sort {
  const direction = sortOrder === "asc" ? 1 : -1;
  const field = SORT_FIELDS[sortBy];
  return field === "_id" ? { _id: direction } : { [field]: direction, _id: direction };
}

async function readPage(session: Session, ids: readonly string[], withState: boolean): Promise<readonly Thread[]> {
  if (ids.length === 0) return [];
  const found = await session.retrying(() =>
    session.threads.find({ _id: { $in: [...ids] } }, { projection: withState ? WITH_STATE : PLAIN }).toArray(),
  );
  const byId = new Map(found.map((thread) => [thread._id, thread]));
  const documents = ids.map((id) => byId.get(id)).filter((document) => document !== undefined);
  return rowsOf(session, documents, withState);
}

async function rowsOf(
  session: Session,
  documents: readonly ThreadDocument[],
  withState: boolean,
): Promise<readonly Thread[]> {
  const slice = startTimeSlice();
  const rows: Thread[] = [];
  for (const document of documents) {
    if (withState) {
      const read = await readTexts(session, document);
      if (read !== null) rows.push(threadOf(read.thread, read.texts));
    } else rows.push(threadOf(document));
    if (slice.isOver()) await slice.next();
  }
  return rows;
}
