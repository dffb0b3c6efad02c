import type { Ids } from "../things.js";
import { by, type Cases, type Variant } from "./variant.js";

const VALUE = "/state-store/v1/state/{workflow_id}/{key}";
const value =
  (rest = "") =>
  ({ stateWorkflow, key }: Ids) =>
    `/state-store/v1/state/${stateWorkflow}/${key}${rest}`;
/** Names are everybody's own: what somebody else has called so changes nothing. */
const alone = (variant: Variant): Variant => ({ ...variant, isAlone: true });

/** docs/wire/state-store.md §4.1. */
export const stateStoreCases: Cases = {
  [`POST ${VALUE}`]: [
    alone(by("a value of this name", value(), () => ({ value: "mine" }))),
    alone(by("beside it", value("2"), () => ({ value: "mine", ttl: 60 }))),
  ],
  [`GET ${VALUE}`]: [by("its value", value()), by("beside it", value("2"))],
  [`DELETE ${VALUE}`]: [by("its value", value())],
  [`POST ${VALUE}/version`]: [
    alone(by("as the first", value("/version"), () => ({ value: "mine", version: 0 }))),
    alone(by("over its version", value("/version"), () => ({ value: "mine", version: 1 }))),
    alone(by("over another version", value("/version"), () => ({ value: "mine", expectedVersion: 7 }))),
  ],
  [`GET ${VALUE}/stream`]: [{ ...by("changes", value("/stream")), follows: true }],
  "GET /state-store/v1/state/{workflow_id}": [
    by("keys", ({ stateWorkflow }) => `/state-store/v1/state/${stateWorkflow}`),
  ],
  "GET /state-store/health": [{ ...by("alive", () => "/state-store/health"), isPublic: true }],
};
