import type { Filter, Sort } from "mongodb";
import type { Assistant, AssistantSortField } from "../../core/assistant.js";
import { planFilter } from "../../core/filter-terms.js";
import type { AssistantQuery, Page, PageRequest } from "../../core/metadata-store.js";
import { startTimeSlice } from "../time-slice.js";
import type { AssistantDocument } from "./documents.js";
import { assistantOf, parseObject } from "./rows.js";
import type { Session } from "./session.js";

const SORT_FIELDS: Readonly<Record<AssistantSortField, "_id" | "graphId" | "name" | "createdAt" | "updatedAt">> = {
  assistant_id: "_id",
  graph_id: "graphId",
  name: "name",
  created_at: "createdAt",
  updated_at: "updatedAt",
};

/** A page of assistants, and how many match. */
export async function searchAssistants(
  session: Session,
  { limit, offset, sortBy, sortOrder, ...query }: AssistantQuery & PageRequest<AssistantSortField>,
): Promise<Page<Assistant>> {
  const { assistants } = session;
  const { filter, residual } = planOf(query);
  const sort = sortOf({ sortBy, sortOrder });
  if (residual === null) {
    const [total, found] = await Promise.all([
      session.retrying(() => assistants.countDocuments(filter)),
      limit <= 0 ? [] : session.retrying(() => assistants.find(filter, { sort }).skip(offset).limit(limit).toArray()),
    ]);
    return { rows: found.map(assistantOf), total };
  }
  const ids = await decided(session, filter, residual, sort);
  const page = ids.slice(offset, offset + Math.max(limit, 0));
  const found = await session.retrying(() => assistants.find({ _id: { $in: page } }).toArray());
  const byId = new Map(found.map((document) => [document._id, document]));
  const documents = page.map((id) => byId.get(id)).filter((document) => document !== undefined);
  return { rows: documents.map(assistantOf), total: ids.length };
}

/** How many assistants match. */
export async function countAssistants(session: Session, query: AssistantQuery): Promise<number> {
  const { filter, residual } = planOf(query);
  if (residual === null) return session.retrying(() => session.assistants.countDocuments(filter));
  return (await decided(session, filter, residual, { _id: 1 })).length;
}

/** @returns ids in order; every one that may match is decided on, a batch in memory at a time */
async function decided(
  session: Session,
  filter: Filter<AssistantDocument>,
  residual: (document: AssistantDocument) => boolean,
  sort: Sort,
): Promise<readonly string[]> {
  return session.retrying(async () => {
    const ids: string[] = [];
    const slice = startTimeSlice();
    const projection = { name: 1, metadata: 1 };
    for await (const document of session.assistants.find(filter, { projection, sort, batchSize: 200 })) {
      if (residual(document)) ids.push(document._id);
      if (slice.isOver()) await slice.next();
    }
    return ids;
  });
}

function planOf({ metadata, graphId, name = "", access }: AssistantQuery): {
  readonly filter: Filter<AssistantDocument>;
  readonly residual: ((document: AssistantDocument) => boolean) | null;
} {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const needle = name.toLowerCase();
  return {
    filter: {
      ...(graphId === undefined ? {} : { graphId }),
      ...(needle === "" ? {} : { nameLower: { $regex: literal(needle) } }),
      ...(terms.length === 0 ? {} : { terms: { $all: [...terms] } }),
    },
    // BSON has no place for half a surrogate pair: there the server may find too much.
    residual:
      residual === null && needle.isWellFormed()
        ? null
        : (document) =>
            document.name.toLowerCase().includes(needle) && (residual?.(parseObject(document.metadata)) ?? true),
  };
}

/** A regular expression for this very text: NUL ends a pattern in BSON. */
function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|#-]/g, "\\$&").replaceAll("\0", "\\x00");
}

function sortOf({ sortBy, sortOrder }: Pick<PageRequest<AssistantSortField>, "sortBy" | "sortOrder">): Sort {
  const direction = sortOrder === "asc" ? 1 : -1;
  const field = SORT_FIELDS[sortBy];
  return field === "_id" ? { _id: direction } : { [field]: direction, _id: direction };
}
