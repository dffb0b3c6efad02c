import type { Caller } from "../../core/auth.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import type { RecordWrite } from "../../core/record.js";
import type { LoggedEvent, NewOpenwopEvent, OpenwopStatus } from "./event.js";
import type { RunRecord } from "./run-record.js";
import type { InterruptFold, RunFold, RunSnapshot, Suspension } from "./snapshot-types.js";

/** What runs need of the description of workflows (workflows.ts). */
export interface Workflows {
  /**
   * A workflow that the caller may run: the id of a graph or of an assistant.
   * @throws HeddleError `ASSISTANT_NOT_FOUND`, `GRAPH_NOT_FOUND`
   */
  describe(caller: Caller, workflowId: string): Promise<Workflow>;
  /** @throws OpenwopRefusal `validation_error` when a workflow's own schema does not allow it */
  checkConfigurable(workflow: Workflow, configurable: JsonObject): void;
  /** @throws OpenwopRefusal `validation_error`, e.g. for a required variable that is missing */
  checkInputs(workflow: Workflow, inputs: JsonObject): void;
}

/** GET /v1/workflows/{id}, and what runs keep of it. */
export interface Workflow {
  readonly id: string;
  readonly assistantId: string;
  readonly graphId: string;
  readonly name: string;
  readonly version: string;
  readonly nodes: readonly { readonly id: string; readonly typeId: string; readonly [key: string]: JsonValue }[];
  readonly edges: readonly JsonObject[];
  readonly triggers: readonly JsonObject[];
  readonly variables: readonly {
    readonly name: string;
    readonly defaultValue?: JsonValue;
    readonly [key: string]: JsonValue | undefined;
  }[];
  readonly configurableSchema?: JsonObject;
}

/** The shapes of interrupts (interrupts.ts). */
export interface InterruptRules {
  /** What a graph's `interrupt(value)` asks for: the value itself when it has the suspend shape, else it is wrapped as `custom`. */
  suspensionOf(value: JsonValue, nodeId: string): Suspension;
  /** `interrupt.requested`, then `approval.requested` or `clarification.requested` where they belong. */
  requestedEvents(interrupt: Pick<InterruptFold, "nodeId" | "interruptId" | "suspension">): readonly NewOpenwopEvent[];
  /** What an answer does. Pure: it is asked again when another answer was faster. */
  judge(interrupt: InterruptFold, answer: AnswerRequest): Judgement;
  /** Status of a run that waits for it. */
  statusOf(suspension: Pick<Suspension, "kind">): Extract<OpenwopStatus, `waiting-${string}`>;
}

export interface AnswerRequest {
  /** As the body has it: `resumeValue`, or the whole body where that is the value (interrupts.ts decides and takes it apart). */
  readonly resumeValue: JsonValue;
  /** Who answers: shown in events; votes of one count once. */
  readonly resolvedBy: string;
}

/** What becomes of an answer. `events` come before `interrupt.resolved` (votes) or after it (`approval.received`, …). */
export type Judgement =
  /** It stands: `interrupt.resolved` is written, then `events`, and the graph goes on with `resumeValue`. */
  | { readonly kind: "resolved"; readonly resumeValue: JsonValue; readonly events: readonly NewOpenwopEvent[] }
  /** It counts, and more are needed: `events` are written, the run stays as it is. */
  | { readonly kind: "vote"; readonly events: readonly NewOpenwopEvent[] }
  /** It is not valid (400 or 422), nothing is written. */
  | {
      readonly kind: "invalid";
      readonly status: 400 | 422;
      readonly message: string;
      readonly details?: JsonObject;
    };

export type AnswerOutcome =
  /** 200 */
  | { readonly kind: "accepted"; readonly status: OpenwopStatus; readonly interrupt: InterruptFold }
  /** 404: no such run, or no interrupt of this node. */
  | { readonly kind: "not-found" }
  /** 409 */
  | { readonly kind: "already-resolved" }
  /** 410: the run ended, or went on without it. */
  | { readonly kind: "gone" }
  /** 410: its time is over. */
  | { readonly kind: "expired" }
  | Extract<Judgement, { readonly kind: "invalid" }>;

/** What the edges may ask of runs (runs.ts). `owner` as core/owner.ts has it. */
export interface RunsOfOpenwop {
  /** `null`: there is none of this owner. */
  find(owner: string, runId: string): Promise<FoundRun | null>;
  /** Whose a run is, for calls that come with a token instead of a bearer. `null`: unknown. */
  ownerOf(runId: string): Promise<string | null>;
  snapshot(found: FoundRun): Promise<RunSnapshot>;
  /**
   * Answer an interrupt. Of several answers at once the log takes one.
   * @param at by `interruptId`, or the node's pending one; of several pending ones of a node the oldest
   */
  answer(
    run: { readonly owner: string; readonly runId: string },
    at: { readonly nodeId: string; readonly interruptId?: string },
    answer: AnswerRequest,
  ): Promise<AnswerOutcome>;
}

export interface FoundRun {
  readonly record: RunRecord;
  readonly fold: RunFold;
}

/** What somebody outside must be told of events. */
export interface Announcement {
  /** Written in the same step as the events, and before them where the storage has no such step: with it, who dies before telling is made up for. */
  readonly note: RecordWrite;
  /** Right after the events are stored, by the process that stored them, before readers are woken. */
  tell(): Promise<void>;
}

/** Asked with events that are about to be stored, and again for each try. @returns `null`: nobody wants to hear of them */
export type Announce = (record: RunRecord, events: readonly LoggedEvent[]) => Promise<Announcement | null>;

/** An error of this protocol with its status and code (§3.2); errors.ts makes the envelope of it. */
export class OpenwopRefusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: JsonObject | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(refusal: {
    readonly status: number;
    /** @example "validation_error" */
    readonly code: string;
    readonly message: string;
    readonly details?: JsonObject;
    readonly headers?: Readonly<Record<string, string>>;
  }) {
    super(refusal.message);
    this.name = "OpenwopRefusal";
    this.status = refusal.status;
    this.code = refusal.code;
    this.details = refusal.details;
    this.headers = refusal.headers ?? {};
  }
}
