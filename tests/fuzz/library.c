/* The library of tokenizers by its public header: first byte: the kind, `clean`, and room for the results; the rest: a
 * text, or ids.  And models of SentencePiece: the bytes of a file, and a text. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/tokenizer.h"

enum { KINDS = 2, ROOM = 1 << 18 };
static wabun_tokenizer *kinds[KINDS];
static int32_t *ids;
static char *text;

/* Is it this status, with a message if it is an error? */
static bool is (wabun_status got, wabun_status want) {
    FUZZ_CHECK (got == WABUN_OK || wabun_error_text ()[0] != 0, "an error without a message");
    FUZZ_CHECK (got != WABUN_MEMORY, "%s", wabun_error_text ());
    return got == want;
}
#define MUST(expr) FUZZ_CHECK (is ((expr), WABUN_OK), "%s: %s", #expr, wabun_error_text ())

static void buffers (void) {
    ids = wb_malloc (ROOM * sizeof *ids);
    text = wb_malloc (ROOM);
    FUZZ_CHECK (ids != NULL && text != NULL, "memory");
}

static void init (void) {
    buffers ();
    MUST (wabun_tokenizer_open (&kinds[0], "byte"));
    MUST (wabun_tokenizer_open (&kinds[1], fuzz_source_path ("tests/golden/bpe")));
}

/* What a text or ids become keeps to the room, and streams give the same text. */
static void decode (const wabun_tokenizer *t, size_t count, size_t room) {
    size_t bytes, need, at = 0, n;
    const char *part;
    wabun_stream *s;
    MUST (wabun_decode (t, NULL, 0, &bytes, ids, 0));
    const wabun_status status = wabun_decode (t, text, ROOM, &bytes, ids, count);
    if (is (status, WABUN_TOO_SMALL)) return;
    FUZZ_CHECK (is (status, WABUN_OK), "%s", wabun_error_text ());
    FUZZ_UTF8 (text, bytes);
    if (room < bytes) {
        char small[16];
        FUZZ_CHECK (is (wabun_decode (t, small, room < 16 ? room : 16, &need, ids, count), WABUN_TOO_SMALL) ||
                        bytes <= 16,
                    "less room than bytes");
    }
    MUST (wabun_stream_open (&s, t));
    for (size_t i = 0; i <= count; i++) {
        MUST (i < count ? wabun_stream_put (s, &part, &n, ids[i]) : wabun_stream_finish (s, &part, &n));
        FUZZ_CHECK (n <= bytes - at && memcmp (text + at, part, n) == 0, "the stream differs");
        at += n;
    }
    FUZZ_CHECK (at == bytes, "the stream is shorter");
    wabun_stream_close (s);
}

static bool is_known (const wabun_tokenizer *t) {
    for (int i = 0; i < KINDS; i++)
        if (kinds[i] == t) return true;
    return false;
}

static void encode (const wabun_tokenizer *t, const char *s, size_t n, unsigned flags, size_t room) {
    size_t count, need;
    int32_t few[4];
    const wabun_status status = wabun_encode (t, ids, ROOM, &count, s, n, flags);
    if (is (status, WABUN_TOO_SMALL)) return;
    /* There are models of SentencePiece that its library cannot use for every text; it says so. */
    if (is (status, WABUN_DATA) && !is_known (t)) return;
    FUZZ_CHECK (is (status, WABUN_OK), "%s", wabun_error_text ());
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK (ids[i] >= 0 && ids[i] < wabun_tokenizer_size (t), "id %d", (int) ids[i]);
    room %= 4;
    const wabun_status again = wabun_encode (t, few, room, &need, s, n, flags);
    FUZZ_CHECK (is (again, count > room ? WABUN_TOO_SMALL : WABUN_OK) && need == count, "%zu ids, then %zu", count,
                need);
    decode (t, count, room);
}

static void use (const uint8_t *data, size_t n) {
    if (n < 2) return;
    const wabun_tokenizer *t = kinds[data[0] % KINDS];
    const int32_t size = wabun_tokenizer_size (t);
    const char *s = (const char *) data + 2;
    n -= 2;
    encode (t, s, n, (data[0] & 2) != 0 ? WABUN_CLEAN : 0, data[1]);
    char *name = fuzz_text (data + 2, n);
    FUZZ_CHECK (wabun_tokenizer_find (t, name) < size, "a piece that is not there");
    wb_free (name);
    const size_t count = n / 2 < ROOM ? n / 2 : ROOM; /* the same bytes as ids */
    bool inside = true;
    for (size_t i = 0; i < count; i++) {
        ids[i] = ((unsigned char) s[2 * i] | (unsigned char) s[2 * i + 1] << 8) % (size + 2) - 1;
        inside = inside && ids[i] >= 0 && ids[i] < size;
    }
    size_t bytes;
    if (inside)
        decode (t, count, data[1]);
    else
        FUZZ_CHECK (is (wabun_decode (t, text, ROOM, &bytes, ids, count), WABUN_DATA), "an id that is not there");
}

/* Errors of the library are its caller's; fuzz.c looks for those that nobody returned. */
static void run (const uint8_t *data, size_t n) {
    use (data, n);
    wb_error_clear ();
}

#define SEED(name, bytes) fuzz_seed (name, bytes, sizeof (bytes) - 1)
static void seeds (void) {
    SEED ("byte", "\0\7ab\xe6\x96\x87 \xff\0c");
    SEED ("words", "\1\2\xe6\x97\xa5\xe6\x9c\xac\n(^_^) 12\xe6\x99\x82");
    SEED ("clean", "\3\2http://a.b/ 1,000\xe5\x86\x86");
    SEED ("ids", "\1\1\5\0\6\0\7\0\x10\0");
    SEED ("name", "\1\1<BR>");
}

const fuzz_harness_t fuzz_library = {"library", init, run, seeds};

/* ---- models of SentencePiece ----------------------------------------------------------------------------------- */

static void use_model (const uint8_t *data, size_t n) {
    fuzz_part_t part[2] = {0};
    wabun_tokenizer *t;
    (void) fuzz_split (part, 2, data, n);
    const wabun_file file = {"x.model", part[0].data, part[0].n};
    const wabun_status status = wabun_tokenizer_open_memory (&t, &file, 1);
    if (!is (status, WABUN_OK)) return;
    static const char sample[] = " 日本の道 ab  c\n\xff\xe3\x81 12 ";
    const int32_t size = wabun_tokenizer_size (t);
    const char *bytes;
    size_t k;
    FUZZ_CHECK (wabun_tokenizer_eot (t) >= 0 && wabun_tokenizer_eot (t) < size, "the end token");
    for (int32_t id = 0; id < size && id < 1000; id++) MUST (wabun_tokenizer_piece (t, &bytes, &k, id));
    encode (t, sample, strlen (sample), 0, n);
    if (part[1].n > 0) encode (t, (const char *) part[1].data, part[1].n, 0, n);
    wabun_tokenizer_close (t);
}

static void run_model (const uint8_t *data, size_t n) {
    use_model (data, n);
    wb_error_clear ();
}

/* A model, field by field: pieces with their score and type, the trainer's and the normaliser's settings. */
static void put_field (wb_buf_t *b, int field, const void *data, size_t n) {
    const unsigned char head[] = {(unsigned char) (field << 3 | 2), (unsigned char) n};
    FUZZ_CHECK (n < 128, "a short field");
    FUZZ_MUST (wb_buf_put (b, head, 2));
    FUZZ_MUST (wb_buf_put (b, data, n));
}

static void put_piece (wb_buf_t *b, const char *text_of, float score, int type) {
    wb_buf_t p = {0};
    const unsigned char kind[] = {3 << 3, (unsigned char) type}, tag[] = {2 << 3 | 5};
    put_field (&p, 1, text_of, strlen (text_of));
    FUZZ_MUST (wb_buf_put (&p, tag, 1));
    FUZZ_MUST (wb_buf_put (&p, &score, sizeof score));
    FUZZ_MUST (wb_buf_put (&p, kind, 2));
    put_field (b, 1, p.data, p.len);
    wb_buf_fini (&p);
}

static void seeds_model (void) {
    static const char *const words[] = {"▁日本", "の", "道", "a", "b", "ab", "▁", "本", "日"};
    for (int type = 1; type <= 4; type++) { /* unigram, BPE, words, characters */
        wb_buf_t b = {0}, seed = {0};
        const unsigned char trainer[] = {3 << 3, (unsigned char) type},
                            normaliser[] = {3 << 3, 1, 4 << 3, 1, 5 << 3, 1};
        put_piece (&b, "<unk>", 0, 2);
        put_piece (&b, "<s>", 0, 3);
        put_piece (&b, "</s>", 0, 3);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) put_piece (&b, words[i], -(float) i, 1);
        put_field (&b, 2, trainer, sizeof trainer);
        put_field (&b, 3, normaliser, sizeof normaliser);
        char name[16];
        snprintf (name, sizeof name, "type%d", type);
        fuzz_join (&seed, b.data, b.len);
        fuzz_join (&seed, "日本の道", 12);
        fuzz_seed (name, seed.data, seed.len);
        wb_buf_fini (&b);
        wb_buf_fini (&seed);
    }
}

const fuzz_harness_t fuzz_spiece = {"spiece", buffers, run_model, seeds_model};
