import { type Ids, SECRET } from "../things.js";
import { by, type Cases, type Difference, type Variant } from "./variant.js";

const ITEMS = "/store/items";
const below = ({ labels }: Ids): readonly string[] => [...labels, "notes"];
const at = (place: (ids: Ids) => readonly string[]) => (ids: Ids) => ({ namespace: place(ids), key: ids.key });

/** §7.6: what is there and hidden is 404, what is missing has another answer. */
const filtered = (variant: Variant, missing: number): Variant => {
  const differsByFilter: Difference = { section: "§7.6", hidden: 404, missing };
  return { ...variant, differsByFilter };
};

const got = (place: (ids: Ids) => readonly string[]) => (ids: Ids) =>
  `${ITEMS}?namespace=${place(ids).join(".")}&key=${ids.key}`;
const put = (place: (ids: Ids) => readonly string[]) => (ids: Ids) => ({ ...at(place)(ids), value: { text: "mine" } });
const searched = (name: string, body: (ids: Ids) => unknown): Variant => by(name, () => `${ITEMS}/search`, body);
const listed = (name: string, body: (ids: Ids) => unknown): Variant => by(name, () => "/store/namespaces", body);
const labels = (ids: Ids): readonly string[] => ids.labels;
const first = (ids: Ids): readonly string[] => ids.labels.slice(0, 1);

export const storeCases: Cases = {
  "PUT /store/items": [
    filtered(
      by("over another's", () => ITEMS, put(below)),
      403,
    ),
    filtered(
      by("over another's, above", () => ITEMS, put(labels)),
      403,
    ),
    filtered(
      by(
        "over another's, to let it expire",
        () => ITEMS,
        (ids) => ({ ...put(below)(ids), ttl: 0.0001, index: ["text"] }),
      ),
      403,
    ),
    by(
      "beside another's",
      () => ITEMS,
      put((ids) => [...ids.labels, "notes", "new"]),
    ),
  ],
  "GET /store/items": [
    filtered(by("another's", got(below)), 200),
    filtered(by("another's, above", got(labels)), 200),
    filtered(
      by("another's, to keep it", (ids) => `${got(below)(ids)}&refresh_ttl=true`),
      200,
    ),
    by(
      "beside another's",
      got((ids) => [...ids.labels, "notes", "new"]),
    ),
  ],
  "DELETE /store/items": [
    filtered(
      by("another's", () => ITEMS, at(below)),
      403,
    ),
    by(
      "beside another's",
      () => ITEMS,
      at((ids) => [...ids.labels, "notes", "new"]),
    ),
  ],
  "POST /store/items/search": [
    searched("another's", (ids) => ({ namespace_prefix: labels(ids) })),
    searched("below another's", (ids) => ({ namespace_prefix: below(ids), limit: 1, offset: 0 })),
    searched("above another's", (ids) => ({ namespace_prefix: first(ids) })),
    searched("by value", (ids) => ({ namespace_prefix: first(ids), filter: { text: SECRET } })),
    searched("another's, by meaning", (ids) => ({ namespace_prefix: labels(ids), query: SECRET })),
    searched("above another's, by meaning", (ids) => ({
      namespace_prefix: first(ids),
      query: SECRET,
      refresh_ttl: true,
    })),
    { ...searched("everything by meaning", () => ({ namespace_prefix: [], query: SECRET })), lists: true },
    {
      ...searched("everything by meaning, beyond", () => ({
        namespace_prefix: [],
        query: SECRET,
        limit: 1,
        offset: 1,
      })),
      lists: true,
    },
    { ...searched("everything", () => ({ namespace_prefix: [] })), lists: true },
    { ...searched("everything by value", () => ({ namespace_prefix: [], filter: { text: SECRET } })), lists: true },
    { ...searched("everything, beyond", () => ({ namespace_prefix: [], limit: 1, offset: 1 })), lists: true },
  ],
  "POST /store/namespaces": [
    listed("another's", (ids) => ({ prefix: labels(ids) })),
    listed("above another's", (ids) => ({ prefix: first(ids), max_depth: 1 })),
    { ...listed("any", (ids) => ({ prefix: ids.labels.map(() => "*") })), lists: true },
    { ...listed("everything", () => ({})), lists: true },
    { ...listed("by its end", () => ({ suffix: ["notes"], max_depth: 3 })), lists: true },
    { ...listed("any, by its end", () => ({ prefix: ["*"], suffix: ["notes"] })), lists: true },
  ],
};
