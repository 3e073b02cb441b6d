/* Token files: PREFIX.idx, PREFIX.bin; opened, checked, read whole, by document and by window. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/dataset.h"

static void read_all (const wb_tokens_t *f) {
    enum { SOME = 1000, PIECE = 7 };
    int32_t ids[PIECE];
    const int64_t n = wb_tokens_count (f), documents = wb_tokens_documents (f);
    FUZZ_CHECK (n >= 0 && documents >= 0, "%lld ids, %lld documents", (long long) n, (long long) documents);
    for (int64_t at = 0; at < n && at < SOME; at += PIECE)
        FUZZ_MUST (wb_tokens_read (f, ids, at, n - at < PIECE ? n - at : PIECE));
    int64_t end = 0;
    for (int64_t d = 0; d < documents && d < SOME; d++) {
        int64_t first, length;
        FUZZ_MUST (wb_tokens_document (f, &first, &length, d));
        FUZZ_CHECK (first == end && length >= 0 && length <= n - first, "document %lld: %lld ids from %lld",
                    (long long) d, (long long) length, (long long) first);
        end = first + length;
        if (length > 0) FUZZ_MUST (wb_tokens_read (f, ids, first, length < PIECE ? length : PIECE));
    }
    FUZZ_CHECK (documents > SOME || end == n, "documents end at %lld of %lld", (long long) end, (long long) n);
}

static void load (wb_tokens_t *f) {
    enum { T = 4 };
    int32_t ids[T + 1];
    wb_loader_t *l;
    const wb_loader_part_t part = {f, 1.0};
    if (!fuzz_ok (wb_loader_new (&l, &part, 1, T, 1, true))) return;
    for (int64_t k = 0; k < 9; k++) FUZZ_MUST (wb_loader_sample (l, ids, k));
    wb_loader_prefetch (l, 9);
    wb_loader_destroy (l);
}

static void run (const uint8_t *data, size_t n) {
    fuzz_part_t part[2] = {0};
    wb_tokens_t *f;
    int64_t bytes;
    uint64_t hash;
    fuzz_split (part, 2, data, n);
    fuzz_write ("tok.idx", part[0].data, part[0].n);
    fuzz_write ("tok.bin", part[1].data, part[1].n);
    if (!fuzz_ok (wb_tokens_open (&f, "tok"))) return;
    FUZZ_MUST (wb_tokens_identity (f, &bytes, &hash));
    FUZZ_CHECK (bytes == (int64_t) part[1].n, "%lld bytes of %zu", (long long) bytes, part[1].n);
    (void) fuzz_ok (wb_tokens_check (f, 257, 0, 1));
    read_all (f);
    load (f);
    wb_tokens_close (f);
}

static void seed (const char *name, int32_t vocab, int documents, int length) {
    wb_tokens_writer_t *w;
    wb_buf_t b = {0};
    int32_t ids[64];
    size_t n;
    for (int i = 0; i < 64; i++) ids[i] = i % 7;
    FUZZ_MUST (wb_tokens_writer_new (&w, "seed", vocab));
    for (int d = 0; d < documents; d++) FUZZ_MUST (wb_tokens_writer_put (w, ids, length + d));
    FUZZ_MUST (wb_tokens_writer_end (w, NULL, NULL));
    char *idx = fuzz_read (&n, "seed.idx");
    fuzz_join (&b, idx, n);
    char *bin = fuzz_read (&n, "seed.bin");
    fuzz_join (&b, bin, n);
    fuzz_seed (name, b.data, b.len);
    b.data[0x11] = 4; /* the same bytes as ids of another width */
    fuzz_seed ("wide", b.data, b.len);
    wb_buf_fini (&b);
    wb_free (idx);
    wb_free (bin);
}

static void seeds (void) {
    seed ("none", 257, 0, 0);
    seed ("short", 257, 3, 4);
    seed ("long", 100000, 2, 30);
}

const fuzz_harness_t fuzz_tokens = {"tokens", NULL, run, seeds};
