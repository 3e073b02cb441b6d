// tokenizers.cjs TOKENIZER.JSON < lines of {"text", "ids", "back"}: Hugging Face's tokenizers give the same ids and texts
const {Tokenizer} = require("tokenizers");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
const tokenizer = Tokenizer.fromFile(process.argv[2]);
(async () => {
  let ids = 0, texts = 0;
  for (const line of lines) {
    const got = (await tokenizer.encode(line.text, null, {addSpecialTokens: false})).getIds();
    ids += JSON.stringify(got) === JSON.stringify(line.ids);
    texts += await tokenizer.decode(line.ids, false) === line.back;
  }
  console.log(`${lines.length} lines: ids of ${ids} equal, texts of ${texts}`);
  process.exit(lines.length > 0 && ids === lines.length && texts === lines.length ? 0 : 1);
})();
