/* Vocabulary files of ja-bpe and ja-swe: the words, emoji.json, and a text to encode. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/text.h"

static char *words, *emoji; /* ours, for inputs that change only the other */
static size_t words_bytes, emoji_bytes;

static void init (void) {
    words = fuzz_read (&words_bytes, fuzz_source_path ("tests/golden/bpe/ja-bpe.txt"));
    emoji = fuzz_read (&emoji_bytes, fuzz_source_path ("tests/golden/bpe/emoji.json"));
    FUZZ_MUST (wb_dir_make ("copy"));
}

static void use (const wb_tokenizer_t *t, const char *text, size_t n) {
    const int32_t size = wb_tokenizer_size (t);
    for (int clean = 0; clean < 2; clean++) {
        wb_ids_t ids = {0};
        wb_buf_t out = {0};
        FUZZ_MUST (wb_tokenizer_encode (t, &ids, text, n, clean == 1));
        for (int64_t i = 0; i < ids.len; i++)
            FUZZ_CHECK (ids.data[i] >= 0 && ids.data[i] < size, "id %d of %d", (int) ids.data[i], (int) size);
        FUZZ_MUST (wb_tokenizer_decode (t, &out, ids.data, ids.len));
        FUZZ_UTF8 (out.data, out.len);
        wb_ids_fini (&ids);
        wb_buf_fini (&out);
    }
    for (int32_t id = 0; id < size && id < 1000; id++) {
        wb_buf_t out = {0};
        FUZZ_MUST (wb_tokenizer_decode (t, &out, &id, 1));
        FUZZ_UTF8 (out.data, out.len);
        wb_buf_fini (&out);
    }
}

static void run (const uint8_t *data, size_t n, const char *file) {
    static const char text[] = "日本 ab\r\n<B\tR><BR>\xff\xe3\x81 12時 http://a.b/ 1千円";
    fuzz_part_t part[3] = {0};
    wb_tokenizer_t *t, *copy;
    (void) fuzz_split (part, 3, data, n);
    fuzz_write (file, part[0].n > 0 ? (const char *) part[0].data : words, part[0].n > 0 ? part[0].n : words_bytes);
    fuzz_write ("emoji.json", part[1].n > 0 ? (const char *) part[1].data : emoji,
                part[1].n > 0 ? part[1].n : emoji_bytes);
    if (!fuzz_ok (wb_tokenizer_new (&t, "."))) return;
    FUZZ_CHECK (wb_tokenizer_eot (t) >= 0 && wb_tokenizer_eot (t) < wb_tokenizer_size (t), "the end token");
    use (t, text, strlen (text));
    if (part[2].n > 0) use (t, (const char *) part[2].data, part[2].n);
    FUZZ_MUST (wb_tokenizer_save (t, "copy"));
    FUZZ_MUST (wb_tokenizer_new (&copy, "copy"));
    FUZZ_CHECK (wb_tokenizer_size (t) == wb_tokenizer_size (copy), "saved, it has another size");
    wb_tokenizer_destroy (copy);
    wb_tokenizer_destroy (t);
}

static void seeds (void) {
    wb_buf_t b = {0};
    fuzz_join (&b, words, words_bytes);
    fuzz_join (&b, emoji, emoji_bytes);
    fuzz_join (&b, "これは(^_^)です", 20);
    fuzz_seed ("golden", b.data, b.len);
    wb_buf_fini (&b);
    fuzz_join (&b, "", 0);
    fuzz_join (&b, emoji, emoji_bytes);
    fuzz_seed ("emoji", b.data, b.len);
    wb_buf_fini (&b);
    fuzz_seed ("words", words, words_bytes);
}

static void run_bpe (const uint8_t *data, size_t n) { run (data, n, "ja-bpe.txt"); }
static void run_swe (const uint8_t *data, size_t n) { run (data, n, "ja-swe.txt"); }

const fuzz_harness_t fuzz_vocabulary = {"vocabulary", init, run_bpe, seeds};
const fuzz_harness_t fuzz_swe = {"swe", init, run_swe, seeds};
