/* Text to ids, by byte and ja-bpe: first byte of the input & 1 is `clean`, the rest the text. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "tokenizer/utf8.h"
#include "wabun/text.h"

static wb_tokenizer_t *byte, *words;
static int32_t first_emoji, last_emoji;

static int32_t id_of (const char *text) {
    wb_ids_t ids = {0};
    FUZZ_MUST (wb_tokenizer_encode (words, &ids, text, strlen (text), false));
    const int32_t id = ids.data[0];
    wb_ids_fini (&ids);
    return id;
}

static void init (void) {
    FUZZ_MUST (wb_tokenizer_new (&byte, "byte"));
    FUZZ_MUST (wb_tokenizer_new (&words, fuzz_source_path ("tests/golden/bpe")));
    first_emoji = id_of ("<|emoji1|>");
    last_emoji = id_of ("<|emoji3|>");
}

/* What ids stand for, decoded at once and one by one. */
static void decode (wb_buf_t *out, const wb_tokenizer_t *t, const wb_ids_t *ids) {
    wb_buf_t slow = {0};
    wb_stream_t *stream;
    FUZZ_MUST (wb_tokenizer_decode (t, out, ids->data, ids->len));
    FUZZ_MUST (wb_stream_new (&stream, t));
    for (int64_t i = 0; i < ids->len; i++) FUZZ_MUST (wb_stream_put (stream, &slow, ids->data[i], false));
    FUZZ_MUST (wb_stream_put (stream, &slow, -1, true));
    FUZZ_CHECK (out->len == slow.len && memcmp (out->data, slow.data, slow.len) == 0, "the streaming decoder differs");
    wb_stream_destroy (stream);
    wb_buf_fini (&slow);
    FUZZ_UTF8 (out->data, out->len);
}

/* The text as it comes out again: well-formed, and as ja-bpe has it. */
static void normalise (wb_buf_t *out, const char *s, size_t n, bool ja_bpe) {
    wb_buf_t utf8 = {0};
    wb_utf8_t u = {0};
    FUZZ_MUST (wb_buf_reserve (&utf8, 3 * n + 8));
    for (size_t i = 0; i < n; i++) wb_utf8_feed (&u, &utf8, (unsigned char) s[i]);
    wb_utf8_flush (&u, &utf8);
    FUZZ_MUST (wb_buf_reserve (out, utf8.len + 8));
    for (size_t i = 0, k; i < utf8.len; i += k) {
        char put[4];
        uint32_t c = wb_utf8_get (utf8.data + i, utf8.len - i, &k);
        if (ja_bpe && c == '\r' && i + 1 < utf8.len && utf8.data[i + 1] == '\n') k = 2;
        if (ja_bpe && c == '\r') c = '\n';
        if (ja_bpe && c == 0x3000) c = ' ';
        if (ja_bpe && (c == 0x2014 || c == 0x2212)) c = 0x30fc;
        FUZZ_MUST (wb_buf_put (out, put, wb_utf8_put (put, c)));
    }
    wb_buf_fini (&utf8);
}

static bool has_emoji (const wb_ids_t *ids) {
    for (int64_t i = 0; i < ids->len; i++)
        if (ids->data[i] >= first_emoji && ids->data[i] <= last_emoji) return true;
    return false;
}

/* Lines encoded one by one have the same ids, where the tokenizer says so. */
static void check_lines (const wb_tokenizer_t *t, const wb_ids_t *whole, const char *s, size_t n, bool clean) {
    wb_ids_t ids = {0};
    if (!wb_tokenizer_by_lines (t)) return;
    for (size_t i = 0, k; i < n; i += k) {
        const char *end = memchr (s + i, '\n', n - i);
        k = end != NULL ? (size_t) (end - s) + 1 - i : n - i;
        FUZZ_MUST (wb_tokenizer_encode (t, &ids, s + i, k, clean));
    }
    FUZZ_CHECK (ids.len == whole->len && (ids.len == 0 || memcmp (ids.data, whole->data, 4 * (size_t) ids.len) == 0),
                "lines give other ids than the text");
    wb_ids_fini (&ids);
}

static void check (const wb_tokenizer_t *t, const char *s, size_t n, bool clean) {
    wb_ids_t ids = {0};
    wb_buf_t got = {0}, want = {0};
    FUZZ_MUST (wb_tokenizer_encode (t, &ids, s, n, clean));
    for (int64_t i = 0; i < ids.len; i++)
        FUZZ_CHECK (ids.data[i] >= 0 && ids.data[i] < wb_tokenizer_size (t), "id %d", (int) ids.data[i]);
    decode (&got, t, &ids);
    check_lines (t, &ids, s, n, clean);
    if (t == byte || (!clean && memchr (s, '<', n) == NULL && !has_emoji (&ids))) {
        normalise (&want, s, n, t == words);
        FUZZ_CHECK (got.len == want.len && memcmp (got.data, want.data, got.len) == 0, "%s: text changes: %s",
                    wb_tokenizer_kind (t), got.data);
    }
    wb_ids_fini (&ids);
    wb_buf_fini (&got);
    wb_buf_fini (&want);
}

static void run (const uint8_t *data, size_t n) {
    if (n == 0) return;
    const char *s = (const char *) data + 1;
    const bool clean = (data[0] & 1) != 0;
    const int64_t stray = wb_text_stray (s, n - 1);
    FUZZ_CHECK (stray >= 0 && stray <= (int64_t) n - 1, "%lld stray bytes", (long long) stray);
    check (byte, s, n - 1, clean);
    check (words, s, n - 1, clean);
}

const fuzz_harness_t fuzz_encode = {"encode", init, run, NULL};
