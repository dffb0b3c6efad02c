import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";
import { counting, expectOnlyGrowth } from "../support/expectations.js";

/** Tokens, tool calls, stopping, failing. */
export function answeringScenarios(stage: Stage): void {
  it("shows an answer token by token, each once", async () => {
    const { chat } = stage;
    await chat.ask("Count to 40");
    await chat.answerIs(counting(40));
    expect(await chat.messages()).toEqual([
      { role: "human", text: "Count to 40" },
      { role: "ai", text: counting(40) },
    ]);
    expectOnlyGrowth(await chat.moments(), counting(40));
    await chat.agreesWithServer();
  });

  it("shows a tool call and its result", async () => {
    const { chat } = stage;
    await chat.ask("What is the weather in Paris?");
    const call = chat.page.locator('.tool-call[data-tool="get_weather"]');
    await call.getByText("18 °C and sunny in Paris").waitFor();
    await chat.answerIs("The weather: 18 °C and sunny in Paris. Take sunglasses with you.");
    expect(await call.count()).toBe(1);
    expect(await call.locator(".args").textContent()).toBe("city: Paris");
    await chat.agreesWithServer();
  });

  it("goes on with the thread", async () => {
    const { chat } = stage;
    await chat.ask("Count to 3");
    await chat.answerIs(counting(3));
    await chat.ask("Count to 4");
    await chat.answerIs(counting(4));
    expect((await chat.messages()).map(({ text }) => text)).toEqual([
      "Count to 3",
      counting(3),
      "Count to 4",
      counting(4),
    ]);
    await chat.agreesWithServer();
  });

  it("stops a run, and goes on after it", async () => {
    const { chat } = stage;
    await chat.ask("Count to 400");
    await chat.answered(10);
    await chat.press("Stop");
    await chat.idle();
    await chat.cancelled();
    await chat.ask("Count to 5");
    await chat.answerIs(counting(5));
    expect((await chat.messages()).at(-2)).toEqual({ role: "human", text: "Count to 5" });
    await chat.agreesWithServer();
  });

  it("shows why a run failed", async () => {
    const { chat } = stage;
    await chat.ask("Please fail");
    await chat.page.getByRole("alert").waitFor();
    expect(await chat.page.getByRole("alert").textContent()).toContain("out of order, as you asked");
    await chat.idle();
  });
}
