// compare.mjs SCORES IDS LLAMA TOLERANCE: `wabun score --tokens` of lines against llama_score.mjs of the same lines
import {readFileSync} from "fs";
const [scores, ids, llama, tolerance] = process.argv.slice(2);
const lines = (file) => readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
const ours = lines(scores).map((line) => Number(line.slice(line.lastIndexOf("\t") + 1)));
const json = (file) => lines(file).map((line) => JSON.parse(line));
const wanted = json(ids), theirs = json(llama);
let at = 0, tokens = 0, worst = 0, sum = 0, theirSum = 0, same = 0, back = 0;
wanted.forEach(({ids, text}, i) => {
  theirs[i].logprobs.forEach((x) => {
    worst = Math.max(worst, Math.abs(x - ours[at]));
    sum += ours[at++], theirSum += x, tokens++;
  });
  at++;                                                           // the total of the line
  same += JSON.stringify(theirs[i].ids) === JSON.stringify(ids.slice(1, -1));
  back += theirs[i].back .trimStart() === text.trimStart();
});
console.log(`${tokens} tokens: log-probabilities differ by ${worst.toExponential(2)} at most; perplexity ` +
  `${Math.exp(-sum / tokens).toFixed(4)} (wabun), ${Math.exp(-theirSum / tokens).toFixed(4)} (llama.cpp); ids of its ` +
  `tokenizer: ${same} of ${wanted.length} lines, texts ${back}`);
process.exit(worst <= Number(tolerance) && same === wanted.length ? 0 : 1);
