import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";
import { counting } from "../support/expectations.js";

const GREETINGS = [
  "Hello! Ask me about the weather, have me write an email, or let me research something.",
  "Good day! I can look up the weather, send an email for you, or research a topic.",
] as const;

/** Other versions of answers and questions, from their checkpoints. */
export function branchScenarios(stage: Stage): void {
  it("regenerates an answer and shows either version", async () => {
    const { chat } = stage;
    await chat.ask("Hello");
    await chat.answerIs(GREETINGS[0]);
    await chat.press("Regenerate");
    await chat.answerIs(GREETINGS[1]);
    expect((await chat.messages()).map(({ text }) => text)).toEqual(["Hello", GREETINGS[1]]);
    await chat.agreesWithServer();
    await chat.page.getByText("2 of 2").waitFor();
    await chat.press("Earlier version");
    await chat.answerIs(GREETINGS[0]);
    expect((await chat.messages()).map(({ text }) => text)).toEqual(["Hello", GREETINGS[0]]);
    await chat.press("Later version");
    await chat.answerIs(GREETINGS[1]);
  });

  it("goes on from the version that is shown", async () => {
    const { chat } = stage;
    await chat.ask("Hello");
    await chat.answerIs(GREETINGS[0]);
    await chat.press("Regenerate");
    await chat.answerIs(GREETINGS[1]);
    await chat.press("Earlier version");
    await chat.answerIs(GREETINGS[0]);
    await chat.ask("Count to 3");
    await chat.answerIs(counting(3));
    expect((await chat.messages()).map(({ text }) => text)).toEqual(["Hello", GREETINGS[0], "Count to 3", counting(3)]);
    await chat.agreesWithServer();
  });

  it("asks something else instead of a question", async () => {
    const { chat } = stage;
    await chat.ask("Count to 3");
    await chat.answerIs(counting(3));
    await chat.ask("Count to 4");
    await chat.answerIs(counting(4));
    await chat.press("Edit");
    await chat.page.getByRole("textbox", { name: "Changed message" }).fill("Count to 5");
    await chat.press("Ask this instead");
    await chat.answerIs(counting(5));
    expect((await chat.messages()).map(({ text }) => text)).toEqual([
      "Count to 3",
      counting(3),
      "Count to 5",
      counting(5),
    ]);
    await chat.agreesWithServer();
  });
}
