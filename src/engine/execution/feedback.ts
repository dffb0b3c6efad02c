import { LangChainTracer } from "@langchain/core/tracers/tracer_langchain";
import type { Clock } from "../../core/clock.js";
import { toJsonText } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import type { NewRunEvent } from "../../core/run-event.js";
import { feedbackEvent } from "../../core/run-event.js";
import type { Run } from "../../core/run.js";

/** How long LangSmith may take to answer: the run does not end before, and its thread stays busy. */
const FEEDBACK_TIMEOUT_MS = 5_000;

/** Of the LangSmith client that @langchain/core brings (langsmith 0.11 and later); its tracer's type leaves it out. */
interface FeedbackClient {
  createPresignedFeedbackToken(runId: string, feedbackKey: string): Promise<{ readonly url: string }>;
}

/**
 * The `feedback` event of a run that asked for it: for each key a URL that takes feedback without an API key
 * (docs/wire/langgraph-api.md §3.8). Keys that LangSmith gave no URL for, in {@link FEEDBACK_TIMEOUT_MS} or at all, are
 * left out and logged: they never fail the run.
 * @param context.langsmith a LangSmith key is configured
 * @param signal the run's: nothing is waited for when it is aborted
 * @returns `null` when there is nothing to tell
 */
export async function requestFeedback(
  context: { readonly clock: Clock; readonly logger: Logger; readonly langsmith: boolean },
  run: Run,
  signal: AbortSignal,
): Promise<NewRunEvent | null> {
  const keys = run.kwargs.feedbackKeys ?? [];
  if (keys.length === 0 || signal.aborted) return null;
  const urls = new Map<string, string>();
  let failure: unknown = new Error(`LangSmith did not answer within ${FEEDBACK_TIMEOUT_MS} ms`);
  if (context.langsmith) {
    const answers = keys.map(async (key) => {
      try {
        urls.set(key, await presignedUrl(run.runId, key));
      } catch (error) {
        failure = error;
      }
    });
    await firstOf(context.clock, signal, Promise.all(answers));
    if (signal.aborted) return null;
  } else {
    failure = new Error("The run was created while a LangSmith key was configured; now there is none");
  }
  const missing = keys.filter((key) => !urls.has(key));
  if (missing.length > 0) {
    const { runId, threadId } = run;
    context.logger.warn({ err: failure, runId, threadId, feedbackKeys: missing }, "no feedback URLs from LangSmith");
  }
  return urls.size === 0 ? null : feedbackEvent(toJsonText(Object.fromEntries(urls)));
}

async function presignedUrl(runId: string, key: string): Promise<string> {
  const client = new LangChainTracer().client as unknown as FeedbackClient;
  const { url } = await client.createPresignedFeedbackToken(runId, key);
  if (typeof url !== "string") throw new TypeError("LangSmith answered without a URL");
  return url;
}

/** Waits for `work`, the time limit or the end of the run's signal, whichever comes first. */
async function firstOf(clock: Clock, signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  let stop: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const timer = clock.setTimer(stop, FEEDBACK_TIMEOUT_MS);
  signal.addEventListener("abort", stop, { once: true });
  await Promise.race([work, stopped]);
  timer.cancel();
  signal.removeEventListener("abort", stop);
}
