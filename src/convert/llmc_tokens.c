/* Tokens of llm.c: 256 words of 32 bits (magic, version, how many), then ids of 16 bits; those of Llama 3 have 32.
 *
 * The end token stands before each document. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/cursor.h"
#include "convert/llmc.h"
#include "wabun/dataset.h"

#define MAGIC 20240520
#define MAGIC_32 20240801
#define PIECE 65536

typedef struct header {
    int64_t ids, bytes; /* bytes of one */
} header_t;

static wb_status read_header (header_t *out, wb_cursor_file_t *c) {
    int32_t h[WB_LLMC_HEADER / 4];
    WB_TRY (wb_cursor_take (c, h, sizeof h, "the header"));
    *out = (header_t){.ids = h[2], .bytes = h[0] == MAGIC ? 2 : 4};
    if (h[1] != (h[0] == MAGIC ? 1 : 7))
        return WB_FAIL (WB_EDATA, "%s: version %" PRId32 " of llm.c's tokens; %d is known", c->path, h[1],
                        h[0] == MAGIC ? 1 : 7);
    if (out->ids < 0 || c->bytes != WB_LLMC_HEADER + out->ids * out->bytes)
        return WB_FAIL (WB_EDATA, "%s: %" PRId64 " tokens of %d bytes in a file of %" PRId64 ": cut off or damaged",
                        c->path, out->ids, (int) out->bytes, c->bytes);
    return WB_OK;
}

/* Ids out of what was read, in place of which they come: from the end on. */
static wb_status widen (int32_t *ids, int64_t n, int64_t bytes, const char *path) {
    const char *raw = (const char *) ids;
    for (int64_t i = n - 1; i >= 0 && bytes == 2; i--) {
        uint16_t id;
        memcpy (&id, raw + 2 * i, sizeof id);
        ids[i] = id;
    }
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0) return WB_FAIL (WB_EDATA, "%s: an id below 0", path);
    return WB_OK;
}

static wb_status walk (wb_cursor_file_t *c, int32_t *ids, wb_take_ids_fn take, void *ctx) {
    header_t h;
    WB_TRY (read_header (&h, c));
    for (int64_t i = 0; i < h.ids; i += PIECE) {
        const int64_t n = h.ids - i < PIECE ? h.ids - i : PIECE;
        WB_TRY (wb_cursor_read (c, ids, (size_t) (n * h.bytes), WB_LLMC_HEADER + i * h.bytes));
        WB_TRY (widen (ids, n, h.bytes, c->path));
        WB_TRY (take (ctx, ids, n, i + n == h.ids));
    }
    return WB_OK;
}

static wb_status read_ids (const char *path, wb_take_ids_fn take, void *ctx) {
    wb_cursor_file_t *c;
    WB_TRY (wb_cursor_open (&c, path));
    int32_t *ids = wb_malloc (PIECE * sizeof *ids);
    const wb_status status = ids != NULL ? walk (c, ids, take, ctx) : WB_NOMEM ("%s", path);
    wb_free (ids);
    wb_cursor_close (c);
    return status;
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_cursor_file_t *c;
    header_t h;
    WB_TRY (wb_cursor_open (&c, path));
    wb_status status = read_header (&h, c);
    if (status == WB_OK) status = wb_fact_int (facts, "tokens", h.ids);
    if (status == WB_OK) status = wb_fact_int (facts, "bytes", c->bytes);
    if (status == WB_OK) status = wb_fact_int (facts, "bytes a token", h.bytes);
    wb_cursor_close (c);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Ids `first` and on, from the file or, of the one that was turned to the front, eot. */
static wb_status put_ids (wb_writer_t *out, const wb_tokens_t *f, int32_t *ids, int32_t eot) {
    const int64_t all = wb_tokens_count (f);
    uint16_t *narrow = (uint16_t *) ids;
    for (int64_t i = 0; i < all; i += PIECE) {
        const int64_t n = all - i < PIECE ? all - i : PIECE, front = i == 0 && eot >= 0 ? 1 : 0;
        if (front == 1) ids[0] = eot;
        WB_TRY (wb_tokens_read (f, ids + front, eot >= 0 ? i - 1 + front : i, n - front));
        for (int64_t k = 0; k < n; k++) {
            if (ids[k] > UINT16_MAX)
                return WB_FAIL (WB_EDATA, "%s: has the id %d; llm.c's tokens have 16 bits", wb_tokens_path (f),
                                (int) ids[k]);
            const uint16_t id = (uint16_t) ids[k];
            memcpy (narrow + k, &id, sizeof id);
        }
        WB_TRY (wb_writer_put (out, narrow, (size_t) n * sizeof *narrow));
    }
    return WB_OK;
}

static wb_status write_ids (const wb_export_t *x, const wb_tokens_t *f, int32_t eot) {
    wb_writer_t out = {0};
    const int64_t n = wb_tokens_count (f);
    if (n > INT32_MAX)
        return WB_FAIL (WB_EDATA, "%s: %" PRId64 " tokens; a file of llm.c holds 2^31 - 1: encode the text in parts",
                        x->from, n);
    const int32_t h[WB_LLMC_HEADER / 4] = {MAGIC, 1, (int32_t) n};
    int32_t *ids = wb_malloc (PIECE * sizeof *ids);
    wb_status status = ids != NULL ? wb_writer_begin (&out, x->out) : WB_NOMEM ("%s", x->out);
    if (status == WB_OK) status = wb_writer_put (&out, h, sizeof h);
    if (status == WB_OK) status = put_ids (&out, f, ids, eot);
    if (status == WB_OK) status = wb_writer_end (&out);
    wb_writer_cancel (&out);
    wb_free (ids);
    return status;
}

static bool probe (const wb_look_t *look) {
    int32_t magic;
    if (look->directory || look->nhead < 8) return false;
    memcpy (&magic, look->head, sizeof magic);
    return magic == MAGIC || magic == MAGIC_32;
}

const wb_format_t wb_format_llmc_tokens = {
    .name = "llmc",
    .what = "tokens of llm.c",
    .opened_by = "train_gpt2 of llm.c",
    .keeps = "all ids; documents where all end with one id",
    .probe = probe,
    .inspect = inspect,
    .end_first = true,
    .read_ids = read_ids,
    .write_ids = write_ids,
};
