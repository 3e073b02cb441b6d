// OpenAI's client against wabun serve: models, completions, streams, log-probabilities, vectors, errors, aborts.
import OpenAI from "openai";

const url = process.argv[2];
const client = new OpenAI({baseURL: url + "/v1", apiKey: "none", maxRetries: 0});
let bad = false;
const ok = (what, good) => { bad ||= !good; console.log(`${good ? "ok" : "not ok"} ${what}`); };
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const metric = async name => Number((await (await fetch(url + "/metrics")).text()).match(new RegExp(`^wabun_${name} (.*)`, "m"))[1]);
const until = async condition => {
  for (let i = 0; i < 200 && !(await condition()); i++) await new Promise(done => setTimeout(done, 50));
  return condition();
};

ok("models", same((await client.models.list()).data.map(m => m.id), ["readme", "other"]));
const p = {model: "readme", prompt: "文字を", max_tokens: 24, temperature: 0};
const whole = await client.completions.create({...p, seed: 1, logprobs: 2});
const choice = whole.choices[0];
ok("a completion", whole.object === "text_completion" && choice.text.length > 0 && ["stop", "length"].includes(choice.finish_reason));
ok("its usage", whole.usage.total_tokens === whole.usage.prompt_tokens + whole.usage.completion_tokens);
ok("its log-probabilities", choice.logprobs.tokens.length === whole.usage.completion_tokens &&
  choice.logprobs.token_logprobs.every((x, i) => x <= 0 && x === Math.max(...Object.values(choice.logprobs.top_logprobs[i]))));

let text = "", usage = null, finish = null;
for await (const e of await client.completions.create({...p, stream: true, stream_options: {include_usage: true}})) {
  text += e.choices[0]?.text ?? "";
  finish = e.choices[0]?.finish_reason ?? finish;
  usage = e.usage ?? usage;
}
ok("a stream: the same text", text === choice.text && finish === choice.finish_reason);
ok("its usage", same(usage, whole.usage));
const stopped = await client.completions.create({...p, stop: [choice.text.slice(3, 5)]});
ok("stop", stopped.choices[0].text === choice.text.slice(0, choice.text.indexOf(choice.text.slice(3, 5))) && stopped.choices[0].finish_reason === "stop");

const many = await client.completions.create({...p, temperature: 1, seed: 7, n: 3, prompt: ["文字を", "学習の"]});
const one = await client.completions.create({...p, temperature: 1, seed: 7, n: 3, prompt: "学習の"});
ok("prompts and texts", many.choices.length === 6 && many.choices.every((c, i) => c.index === i));
ok("a prompt's texts are its own", same(many.choices.slice(3).map(c => c.text), one.choices.map(c => c.text)));

const echo = (await client.completions.create({...p, max_tokens: 1, echo: true, logprobs: 1})).choices[0];
ok("echo with the prompt's log-probabilities", echo.text.startsWith("文字を") && echo.logprobs.token_logprobs[0] === null &&
  echo.logprobs.token_logprobs.slice(1).every(x => x < 0) && echo.logprobs.tokens.join("") === echo.text);

const vector = (await client.embeddings.create({model: "readme", input: ["文字を", "学習の"]})).data;
const plain = (await client.embeddings.create({model: "readme", input: "学習の", encoding_format: "float"})).data[0].embedding;
ok("embeddings", vector.length === 2 && vector[1].embedding.length === 64 && plain.every((x, i) => Math.abs(x - vector[1].embedding[i]) < 1e-6));

const refused = async (what, status, name, call) => {
  try { await call(); ok(what, false); } catch (e) { ok(what, e.status === status && e.constructor.name === name && e.message.length > 10); }
};
await refused("a bad field", 400, "BadRequestError", () => client.completions.create({...p, max_tokens: -5}));
await refused("no such model", 404, "NotFoundError", () => client.completions.create({...p, model: "none"}));
await refused("no chat", 400, "BadRequestError", () => client.chat.completions.create({model: "other", messages: [{role: "user", content: "x"}]}));
const talk = {model: "readme", temperature: 0, max_tokens: 12, messages: [{role: "user", content: "文字を"}]};
const answer = await client.chat.completions.create({...talk, logprobs: true, top_logprobs: 2});
const follows = await client.completions.create({...p, prompt: "文字を\n", max_tokens: 12});
const said = answer.choices[0].message;
ok("chat", said.role === "assistant" && said.content.length > 0 && said.content === follows.choices[0].text);
ok("its log-probabilities", answer.choices[0].logprobs.content.length === answer.usage.completion_tokens &&
  answer.choices[0].logprobs.content.every(t => t.top_logprobs.length === 2 && t.logprob === t.top_logprobs[0].logprob));
let spoken = "", role = null;
for await (const e of await client.chat.completions.create({...talk, stream: true})) {
  spoken += e.choices[0]?.delta.content ?? "";
  role = e.choices[0]?.delta.role ?? role;
}
ok("a chat that streams", spoken === said.content && role === "assistant");

const long = {...p, temperature: 1, max_tokens: 16000, min_tokens: 16000};
const before = await metric("cancelled_total");
const stream = await client.completions.create({...long, stream: true});
for await (const e of stream) { void e; break; }
const abort = new AbortController();
setTimeout(() => abort.abort(), 300);
try { await client.completions.create(long, {signal: abort.signal}); ok("an abort", false); } catch (e) { ok("an abort", e.constructor.name === "APIUserAbortError"); }
ok("ends what was written for it", await until(async () => await metric("cancelled_total") === before + 2 && await metric("texts_running") === 0));
ok("no block is lost", await metric("blocks_used") === 0);
process.exit(bad ? 1 : 0);
