/* Ids to text: two bytes an id, the first byte of the input & 1 chooses the tokenizer. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/text.h"

static wb_tokenizer_t *kinds[2];

static void init (void) {
    FUZZ_MUST (wb_tokenizer_new (&kinds[0], "byte"));
    FUZZ_MUST (wb_tokenizer_new (&kinds[1], fuzz_source_path ("tests/golden/bpe")));
}

static void run (const uint8_t *data, size_t n) {
    if (n == 0) return;
    const wb_tokenizer_t *t = kinds[data[0] & 1];
    wb_ids_t ids = {0};
    wb_buf_t all = {0}, one = {0};
    wb_stream_t *stream;
    bool good = true;
    for (size_t i = 1; i + 1 < n; i += 2) FUZZ_MUST (wb_ids_put (&ids, (int16_t) (data[i] | data[i + 1] << 8)));
    for (int64_t i = 0; i < ids.len; i++) good = good && ids.data[i] >= 0 && ids.data[i] < wb_tokenizer_size (t);
    FUZZ_CHECK (fuzz_ok (wb_tokenizer_decode (t, &all, ids.data, ids.len)) == good, "ids outside the vocabulary");
    FUZZ_MUST (wb_stream_new (&stream, t));
    int64_t bytes = 0;
    for (int64_t i = 0; good && i < ids.len; i++) {
        FUZZ_MUST (wb_stream_put (stream, &one, ids.data[i], (data[0] & 2) != 0 && i + 1 == ids.len));
        FUZZ_CHECK (wb_tokenizer_id_bytes (t, ids.data[i]) >= 0, "bytes of an id");
        bytes += wb_tokenizer_id_bytes (t, ids.data[i]);
    }
    FUZZ_MUST (wb_stream_put (stream, &one, -1, true));
    FUZZ_CHECK (!good || (all.len == one.len && memcmp (all.data, one.data, all.len) == 0),
                "the streaming decoder differs");
    FUZZ_UTF8 (all.data, all.len);
    FUZZ_CHECK (!good || bytes <= (int64_t) all.len, "%lld bytes, but the text has %zu", (long long) bytes, all.len);
    wb_stream_destroy (stream);
    wb_ids_fini (&ids);
    wb_buf_fini (&all);
    wb_buf_fini (&one);
}

const fuzz_harness_t fuzz_decode = {"decode", init, run, NULL};
