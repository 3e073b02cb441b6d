// load_llama.mjs GGUF TEXTS PROMPT TOKENS - llama.cpp (node-llama-cpp) writes so many texts at once, each after a prompt of
// its own.  Prints tokens a second from the moment when all have their first token to that when the first one is done.
// With 0 TOKENS: tokens a second of reading one prompt, the median of five.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import os from "node:os";

const [file, texts, prompt, tokens] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({sequences: texts, contextSize: prompt + tokens + 8, batchSize: 512,
  threads: Number(process.env.OMP_NUM_THREADS ?? os.availableParallelism())});
const idsOf = number => Array.from({length: prompt}, (_, i) => (number * 7919 + i * 104729) % 20000);
if (tokens === 0) {
  const times = [], sequence = context.getSequence();
  for (let i = -1; i < 5; i++) {
    await sequence.clearHistory();
    const start = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(idsOf(i + 2));
    if (i >= 0) times.push(performance.now() - start);
  }
  console.log((prompt / times.sort((a, b) => a - b)[2] * 1e3).toFixed(1));
  process.exit(0);
}
let begun = 0, total = 0, from = null, to = null;
const write = async number => {
  const ids = idsOf(number);
  let n = 0;
  for await (const id of context.getSequence().evaluate(ids, {temperature: 1, topK: 40, topP: 1, seed: number + 1, yieldEogToken: true})) {
    void id;
    if (n++ === 0 && ++begun === texts) from = {time: performance.now(), total};
    total++;
    if (n >= tokens) {
      to ??= {time: performance.now(), total};
      return;
    }
  }
};
await Promise.all(Array.from({length: texts}, (_, i) => write(i)));
console.log(from !== null && to !== null ? ((to.total - from.total) / (to.time - from.time) * 1e3).toFixed(1) : "-");
process.exit(0);
