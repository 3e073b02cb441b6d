// compare.mjs SCORES IDS LLAMA TOLERANCE ORIGINAL LINES: `wabun score --tokens` of lines against llama_score.mjs of the same
// lines.  TOLERANCE: of |difference| / max(1, |log-probability|).  ORIGINAL are the scores of the model before its numbers
// were rounded.  LINES: how many must get the same ids and texts from llama.cpp's tokenizer, as a share, or all.
import {readFileSync} from "fs";
const [scores, ids, llama, tolerance, original, least] = process.argv.slice(2);
const lines = (file) => readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
const numbers = (file) => lines(file).map((line) => Number(line.slice(line.lastIndexOf("\t") + 1)));
const json = (file) => lines(file).map((line) => JSON.parse(line));
const ours = numbers(scores), before = numbers(original), wanted = json(ids), theirs = json(llama);
let at = 0, tokens = 0, worst = 0, share = 0, sum = 0, theirSum = 0, firstSum = 0, same = 0, back = 0;
wanted.forEach(({ids, text}, i) => {
  theirs[i].logprobs.forEach((x) => {
    worst = Math.max(worst, Math.abs(x - ours[at]));
    share = Math.max(share, Math.abs(x - ours[at]) / Math.max(1, Math.abs(x)));
    firstSum += before[at];
    sum += ours[at++], theirSum += x, tokens++;
  });
  at++;                                                           // the total of the line
  same += JSON.stringify(theirs[i].ids) === JSON.stringify(ids.slice(1, -1));
  back += theirs[i].back?.trimStart() === text.trimStart();
});
const perplexity = (sum) => Math.exp(-sum / tokens).toFixed(4);
console.log(`${tokens} tokens: log-probabilities differ by ${worst.toExponential(2)} at most, relatively by ` +
  `${share.toExponential(2)}; perplexity ` +
  `${perplexity(sum)} (wabun), ${perplexity(theirSum)} (llama.cpp), ${perplexity(firstSum)} before rounding; ids of its ` +
  `tokenizer: ${same} of ${wanted.length} lines, texts ${back}`);
process.exit(share <= Number(tolerance) && same >= wanted.length * (least === "all" ? 1 : least) ? 0 : 1);
