import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";

const finding = (topic: string): string => `${topic}: three books about “${topic}” agree that there is much of it.`;
const FINDINGS = [finding("The past of tea"), finding("The future of tea")];
const REPORT = ["# tea", `- ${FINDINGS[1]}`, `- ${FINDINGS[0]}`].join("\n");

/** Two subagents side by side, todos and files. */
export function subagentScenarios(stage: Stage): void {
  const subagents = () => stage.chat.page.locator(".subagent");
  const expectReport = async (): Promise<void> => {
    const { chat } = stage;
    await chat.answerIs("The report on tea is in report.md.");
    expect(await chat.page.locator(".file summary").allTextContents()).toEqual(["report.md"]);
    expect(await chat.page.locator(".file pre").textContent()).toBe(REPORT);
    expect(await chat.page.locator(".todos li[data-status=completed]").allTextContents()).toEqual([
      "Ask two researchers",
      "Write the report",
    ]);
    await expect
      .poll(() => subagents().locator("> div > .text").allTextContents(), { interval: 20, timeout: 5000 })
      .toEqual(FINDINGS);
    expect(await subagents().locator('.tool-call[data-tool="look_up"][data-status=done]').count()).toBe(2);
    await chat.agreesWithServer();
  };

  it("streams two subagents at once into their own places, with todos and files", async () => {
    const { chat } = stage;
    await chat.ask("Research tea");
    await expectReport();
    const moments = await chat.moments();
    const inTheMiddle = (text: string): boolean => text !== "" && !text.endsWith("of it.");
    expect(moments.some(({ subagents: said }) => said.length === 2 && said.every(inTheMiddle))).toBe(true);
    expect(moments.map(({ todos }) => todos.join())).toContain("in_progress,pending");
    // What they say is not the agent's answer.
    expect(moments.filter(({ answer }) => !"The report on tea is in report.md.".startsWith(answer.trimEnd()))).toEqual(
      [],
    );
  });

  it("shows subagents, todos and files again after a reload", async () => {
    const { chat } = stage;
    await chat.ask("Research tea");
    await expectReport();
    await chat.page.reload();
    await expectReport();
    expect(await subagents().count()).toBe(2);
  });
}
