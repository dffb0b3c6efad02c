import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";
import { counting, expectOnlyGrowth } from "../support/expectations.js";

/** Connections break, pages are loaded again; runs go on. */
export function connectionScenarios(stage: Stage): void {
  it("goes on where a dropped connection was", async () => {
    const { chat, servers } = stage;
    // The SDK comes back after one to two seconds: before the run has ended.
    await chat.ask("Count to 200");
    await chat.answered(10);
    servers.network.cut();
    servers.network.heal();
    await chat.answerIs(counting(200));
    expectOnlyGrowth(await chat.moments(), counting(200));
    expect(await chat.page.getByRole("alert").count()).toBe(0);
    await chat.agreesWithServer();
  });

  it("shows what a run did to its end while the connection was gone", async () => {
    const { chat, servers } = stage;
    await chat.ask("Count to 20");
    await chat.answered(5);
    servers.network.cut();
    servers.network.heal();
    await chat.answerIs(counting(20));
    expect(await chat.page.getByRole("alert").count()).toBe(0);
    await chat.agreesWithServer();
  });

  it("goes on after a reload in the middle of a run", async () => {
    const { chat } = stage;
    await chat.ask("Count to 150");
    await chat.answered(10);
    await chat.page.reload();
    await chat.answered(12);
    expect(await chat.page.getByRole("button", { name: "Stop" }).count()).toBe(1);
    await chat.answerIs(counting(150));
    expectOnlyGrowth(await chat.moments(), counting(150));
    expect((await chat.messages()).length).toBe(2);
    await chat.agreesWithServer();
  });

  it("stops a run after a reload", async () => {
    const { chat } = stage;
    await chat.ask("Count to 600");
    await chat.answered(5);
    await chat.page.reload();
    await chat.answered(6);
    await chat.press("Stop");
    await chat.cancelled();
    await chat.idle();
    expect(await chat.page.getByRole("alert").count()).toBe(0);
  });

  it("shows a finished thread again after a reload", async () => {
    const { chat } = stage;
    await chat.ask("Count to 5");
    await chat.answerIs(counting(5));
    await chat.page.reload();
    await chat.answerIs(counting(5));
    await chat.agreesWithServer();
    // The runs of before are no end of this one.
    await chat.ask("Count to 60");
    await chat.page.waitForFunction(() =>
      [...document.querySelectorAll(".message.ai > .text")].at(-1)?.textContent?.includes(" 30 "),
    );
    expect(await chat.page.getByRole("button", { name: "Stop" }).count()).toBe(1);
    await chat.answerIs(counting(60));
    await chat.agreesWithServer();
  });
}
