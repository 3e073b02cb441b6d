// llama_score.mjs FILE.gguf < lines of {"ids": [...]} > lines of {"logprobs": [...], "ids": ids of "text" by its tokenizer}
import {getLlama} from "node-llama-cpp";
import {readFileSync} from "fs";
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: process.argv[2]});
const context = await model.createContext({contextSize: model.trainContextSize, threads: 1,
  experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", flashAttention: false});
const all = {temperature: 1, topK: 0, topP: 1, minP: 0};  // otherwise the list is cut to 40 tokens
const sequence = context.getSequence();
for (const line of readFileSync(0, "utf8").split("\n")) {
  if (line === "") continue;
  const {ids, text} = JSON.parse(line);
  await sequence.clearHistory();
  const out = await sequence.controlledEvaluate(
    ids.map((id, i) => i + 1 < ids.length ? [id, {generateNext: {probabilities: true, options: all}}] : id));
  const logprobs = ids.slice(1).map((id, i) => Math.log(out[i].next.probabilities.get(id)));
  console.log(JSON.stringify({logprobs, ids: text === undefined ? null : [...model.tokenize(text)],
    back: text === undefined ? null : model.detokenize(ids.slice(1, -1))}));
}
process.exit(0);
