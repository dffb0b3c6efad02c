import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.js";
import { invalid } from "./errors.js";
import { LIMITS } from "./limits.js";

const MEMBERS: ReadonlySet<string> = new Set([
  "workflowId",
  "inputs",
  "tenantId",
  "scopeId",
  "callbackUrl",
  "configurable",
  "tags",
  "metadata",
]);
const MAX_TAGS = 100;
const MAX_TAG_CHARS = 256;
const MAX_ID_CHARS = 512;

/** Body of POST /v1/runs (docs/wire/openwop.md §3.2 Run creation), which is closed. */
export interface CreateBody {
  readonly workflowId: string;
  readonly inputs: JsonObject;
  readonly tenantId: string | null;
  readonly scopeId: string | null;
  readonly callbackUrl: string | null;
  readonly configurable: JsonObject;
  readonly tags: readonly string[];
  readonly metadata: JsonObject;
}

/** @throws OpenwopRefusal `validation_error` that names the member */
export function decodeCreateBody(value: unknown): CreateBody {
  const body = objectOf(value, "The body");
  refuseOthers(body, MEMBERS);
  const workflowId = textOf(body, "workflowId");
  if (workflowId === null) throw invalid("workflowId is required: the id of a workflow, as a string.");
  return {
    workflowId,
    inputs: memberObject(body, "inputs"),
    tenantId: textOf(body, "tenantId"),
    scopeId: textOf(body, "scopeId"),
    callbackUrl: textOf(body, "callbackUrl"),
    configurable: decodeConfigurable(memberObject(body, "configurable")),
    tags: decodeTags(body["tags"]),
    metadata: memberObject(body, "metadata"),
  };
}

export function decodeTags(value: JsonValue | undefined): readonly string[] {
  if (value === undefined) return [];
  const isTag = (tag: JsonValue): boolean => typeof tag === "string" && tag.length <= MAX_TAG_CHARS;
  if (!Array.isArray(value) || value.length > MAX_TAGS || !value.every(isTag)) {
    throw invalid(`tags must be a list of at most ${MAX_TAGS} strings of at most ${MAX_TAG_CHARS} characters.`);
  }
  return value as readonly string[];
}

/**
 * Members that mean the same in every workflow have their types; the others are the workflow's own. openwop-client 1.1.1 sends its
 * `RunConfigurable` with a null for each member that is not set and the workflow's own ones in `extras`: nulls are absent, extras are members.
 */
export function decodeConfigurable(sent: JsonObject): JsonObject {
  const { extras, ...named } = sent;
  const all = isJsonObject(extras) ? { ...extras, ...named } : sent;
  const configurable: JsonObject = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  const { recursionLimit, model, temperature, maxTokens, promptOverrides, runTimeoutMs, mockProvider } = configurable;
  requireThat(isWhole(recursionLimit), "recursionLimit must be a whole number from 1.");
  requireThat(isWhole(maxTokens), "maxTokens must be a whole number from 1.");
  requireThat(isWhole(runTimeoutMs), "runTimeoutMs must be a whole number of milliseconds from 1.");
  requireThat(model === undefined || typeof model === "string", "model must be a string.");
  const isWarm = temperature === undefined || (typeof temperature === "number" && temperature >= 0 && temperature <= 2);
  requireThat(isWarm, "temperature must be a number from 0 to 2.");
  requireThat(
    promptOverrides === undefined ||
      (isJsonObject(promptOverrides) && Object.values(promptOverrides).every((one) => typeof one === "string")),
    "promptOverrides must be an object of strings.",
  );
  requireThat(
    mockProvider === undefined || (isJsonObject(mockProvider) && typeof mockProvider["id"] === "string"),
    "mockProvider must be an object with an id.",
  );
  return configurable;
}

/** How many nodes a run may start: what is asked for, and never more than the server allows. `null`: nothing is asked for. */
export function recursionLimitOf({ recursionLimit }: JsonObject): number | null {
  return typeof recursionLimit === "number" ? Math.min(recursionLimit, LIMITS.maxNodeExecutions) : null;
}

export function runTimeoutOf({ runTimeoutMs }: JsonObject): number | null {
  return typeof runTimeoutMs === "number" ? runTimeoutMs : null;
}

/** @throws OpenwopRefusal `validation_error` */
export function objectOf(value: unknown, what: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw invalid(`${what} must be a JSON object.`);
}

export function refuseOthers(body: JsonObject, members: ReadonlySet<string>): void {
  const other = Object.keys(body).find((member) => !members.has(member));
  if (other !== undefined) {
    throw invalid(`${other} is no member of this body: it may have ${[...members].join(", ")}.`, { member: other });
  }
}

export function memberObject(body: JsonObject, member: string): JsonObject {
  const value = body[member];
  return value === undefined ? {} : objectOf(value, member);
}

function textOf(body: JsonObject, member: string): string | null {
  const value = body[member];
  if (value === undefined) return null;
  if (typeof value === "string" && value !== "" && value.length <= MAX_ID_CHARS) return value;
  throw invalid(`${member} must be a string of 1 to ${MAX_ID_CHARS} characters.`);
}

function isWhole(value: JsonValue | undefined): boolean {
  return value === undefined || (typeof value === "number" && Number.isSafeInteger(value) && value >= 1);
}

function requireThat(isTrue: boolean, rule: string): void {
  if (!isTrue) throw invalid(`configurable.${rule}`);
}
