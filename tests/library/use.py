"""use.py TOKENIZER... - the module wabun_tokenizer, with each tokenizer; tests/cli/library.sh runs it."""
import sys
import threading

if sys.argv[1:] in (["-h"], ["--help"]):
    print("usage: tests/library/use.py TOKENIZER...\nTries the module wabun_tokenizer with each tokenizer.")
    sys.exit(0)
if any(a.startswith("-") for a in sys.argv[1:]):
    print("use.py: unknown option; usage: tests/library/use.py TOKENIZER...", file=sys.stderr)
    sys.exit(2)

from wabun_tokenizer import Tokenizer, TokenizerError, version

TEXT = "日本語の文章、English text.\n\tタブ 12時 鬱\0nul"


def raises(kind, status, call, *arguments):
    try:
        call(*arguments)
    except kind as e:
        assert status is None or e.status == status, (e.status, e)
        assert str(e)
    else:
        raise AssertionError("no error")


assert version()[0].isdigit()
for path in sys.argv[1:]:
    with Tokenizer(path) as t:
        ids = t.encode(TEXT)
        assert ids and all(0 <= i < len(t) for i in ids)
        back = t.decode(ids)
        assert "日本語の文章" in back, back
        assert t.kind != "byte" or back == TEXT
        assert "".join(t.stream(ids)) == back
        assert t.encode("") == [] and t.decode([]) == ""
        assert t.encode(TEXT.encode()) == ids
        assert t.encode_batch([TEXT, "", "道"] * 20, threads=4) == [ids, [], t.encode("道")] * 20
        assert 0 <= t.eot < len(t) and (t.unknown is None or 0 <= t.unknown < len(t))
        assert t.find("<|endoftext|>") in (t.eot, None) and t.find("no such piece") is None
        assert isinstance(t.piece(0), bytes)
        long = t.encode(TEXT * 1000)
        assert "文章" in t.decode(long) and t.encode(b"\xff\xfe")
        raises(TokenizerError, 5, t.decode, [len(t)])
        raises(TokenizerError, 5, t.decode, [-1])
        raises(TokenizerError, 5, t.decode, [2**40])
        wrong = []
        threads = [threading.Thread(target=lambda: wrong.extend(t.encode(TEXT) != ids for _ in range(50))) for _ in range(8)]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        assert len(wrong) == 400 and not any(wrong)
    raises(ValueError, None, t.encode, "closed")
    t.close()
raises(TokenizerError, 3, Tokenizer, "/no/such/place")
raises(TokenizerError, 2, Tokenizer.from_files, {})
with Tokenizer.from_files({"wabun-tokenizer.json": b'{"kind": "byte"}'}) as t:
    assert t.encode("a\0") == [97, 0]
print("fine")
