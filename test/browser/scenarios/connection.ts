import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";
import { counting, expectOnlyGrowth } from "../support/expectations.js";

/** Connections break, pages are loaded again; runs go on. */
export function connectionScenarios(stage: Stage): void {
  it("goes on where a dropped connection was", async () => {
    const { chat, servers } = stage;
    await chat.ask("Count to 60");
    await chat.answered(10);
    servers.network.cut();
    servers.network.heal();
    await expect.poll(() => chat.answer().textContent(), { interval: 20, timeout: 10_000 }).toBe(counting(60));
    await chat.idle();
    expectOnlyGrowth(await chat.textsOfLastAnswer(), counting(60));
    expect(await chat.page.getByRole("alert").count()).toBe(0);
    await chat.agreesWithServer();
  });

  it("goes on after the network was away for a while", async () => {
    const { chat, servers } = stage;
    await chat.ask("Count to 60");
    await chat.answered(10);
    servers.network.cut();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect.poll(() => chat.page.evaluate(() => navigator.onLine)).toBe(true);
    servers.network.heal();
    await expect.poll(() => chat.answer().textContent(), { interval: 20, timeout: 10_000 }).toBe(counting(60));
    await chat.idle();
    await chat.agreesWithServer();
  });

  it("goes on after a reload in the middle of a run", async () => {
    const { chat } = stage;
    await chat.ask("Count to 80");
    await chat.answered(10);
    await chat.page.reload();
    await chat.answered(12);
    expect(await chat.page.getByRole("button", { name: "Stop" }).count()).toBe(1);
    await expect.poll(() => chat.answer().textContent(), { interval: 20, timeout: 10_000 }).toBe(counting(80));
    await chat.idle();
    expectOnlyGrowth(await chat.textsOfLastAnswer(), counting(80));
    expect((await chat.messages()).length).toBe(2);
    await chat.agreesWithServer();
  });

  it("shows a finished thread again after a reload", async () => {
    const { chat } = stage;
    await chat.ask("Count to 5");
    await expect.poll(() => chat.answer().textContent({ timeout: 5000 }), { interval: 20 }).toBe(counting(5));
    await chat.idle();
    await chat.page.reload();
    await expect.poll(() => chat.answer().textContent({ timeout: 5000 }), { interval: 20 }).toBe(counting(5));
    await chat.idle();
    await chat.agreesWithServer();
    await chat.ask("Count to 6");
    await expect.poll(() => chat.answer().textContent(), { interval: 20, timeout: 5000 }).toBe(counting(6));
    await chat.idle();
    await chat.agreesWithServer();
  });
}
