// Judge one text and print what to do. Node 18 or later, no packages.
// Exit code: 0 a decision, 1 none, and what on_error wants is printed, 2 nobody answered.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.env.LLM_JUDGE_URL ?? "http://127.0.0.1:8000";
const key = process.env.LLM_JUDGE_API_KEY;
const RETRIED = new Set([409, 429, 502, 503]);

async function judge(request, tries = 4) {
  const headers = {
    "Content-Type": "application/json",
    "Idempotency-Key": randomUUID(), // a retry is judged once
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
  };
  for (let tried = 1; ; tried++) {
    const answer = await fetch(`${url}/v1/judge`, {
      method: "POST", headers, body: JSON.stringify(request), signal: AbortSignal.timeout(60_000),
    });
    if (!RETRIED.has(answer.status) || tried === tries) return { status: answer.status, ...(await answer.json()) };
    const asked = Number(answer.headers.get("retry-after") ?? 0);
    await sleep(1000 * Math.min(asked, 20) + Math.random() * 250 * 2 ** tried);
  }
}

try {
  const reply = await judge({ text: process.argv[2] ?? "", explain: "never" });
  if (reply.status === 200) {
    console.log(reply.action);
  } else {
    console.log(`no decision (${reply.error.code}); do: ${reply.error.fail_mode?.action ?? "review"}`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(`nobody answered: ${error.message}`);
  process.exitCode = 2;
}
