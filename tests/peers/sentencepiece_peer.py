"""Compares wabun's SentencePiece tokenizers with the library's own Python module; run by sentencepiece.sh."""
import glob, json, os, random, subprocess, sys, tempfile, time
import sentencepiece

WABUN = os.environ["WABUN"]
LINES, DRAWN = 2000, 400
MODELS = {
    "unigram": {"model_type": "unigram"},
    "bpe": {"model_type": "bpe"},
    "bpe, bytes, no dummy prefix": {"model_type": "bpe", "byte_fallback": True, "add_dummy_prefix": False,
                                    "remove_extra_whitespaces": False},
    "unigram, line ends, all spaces": {"model_type": "unigram", "normalization_rule_name": "identity",
                                       "remove_extra_whitespaces": False, "user_defined_symbols": ["\n", "<|endoftext|>"],
                                       "byte_fallback": True},
}


def wabun(command, model, rows):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    result = subprocess.run([WABUN, command, "--tokenizer", model, "--jsonl"], input=lines.encode(),
                            stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def main():
    lines = []
    for name in sys.argv[1:]:
        for path in sorted(glob.glob(name + "/**/*.txt", recursive=True)) if os.path.isdir(name) else [name]:
            with open(path, encoding="utf-8") as f:
                lines += [line for line in f.read().split("\n") if line.strip()]
    rng = random.Random(1)
    texts = rng.sample(lines, min(LINES, len(lines)))
    texts += [line[: len(line) // 2] + "\n  " + line for line in texts[:100]]
    texts += ["", " ", "  a", "a  ", "\u3000全角　スペース", "☀☂𠮷野家<s></s><unk>", "a\u0000b", "<|endoftext|>次", "é ﾊﾝｶｸ ㌔ １２３"]
    bad = 0

    def compare(what, got, want):
        nonlocal bad
        same = sum(a == b for a, b in zip(got, want))
        print(f"{what}: {same}/{len(want)}", flush=True)
        bad += same != len(want) or len(got) != len(want)

    with tempfile.TemporaryDirectory() as work:
        for name, settings in MODELS.items():
            prefix = work + "/m"
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(rng.sample(lines, min(20000, len(lines)))), model_prefix=prefix, vocab_size=8000,
                hard_vocab_limit=False, character_coverage=0.999, minloglevel=2, **settings)
            model = prefix + ".model"
            peer = sentencepiece.SentencePieceProcessor(model_file=model)
            start = time.time()
            want = [peer.encode(text) for text in texts]
            peer_seconds = time.time() - start
            got = [row["ids"] for row in wabun("encode", model, [{"text": text} for text in texts])]
            compare(f"{name}, {peer.vocab_size()} pieces: ids ({sum(map(len, want))}, the peer in {peer_seconds:.1f} s)", got, want)
            drawn = [[rng.randrange(peer.vocab_size()) for _ in range(rng.randrange(12))] for _ in range(DRAWN)]
            space = peer.piece_to_id("\u2581")
            drawn += [[space] * n + want[0] for n in range(4)] + [[peer.eos_id(), space, space, peer.unk_id()]]
            for what, ids in (("text of these ids", want), ("text of ids at random", drawn)):
                compare(f"{name}: {what}", [row["text"] for row in wabun("decode", model, [{"ids": i} for i in ids])],
                        [peer.decode(i) for i in ids])
    return bad > 0


sys.exit(main())
