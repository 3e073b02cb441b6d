/* Token files: as inspect tells them; to other formats of tokens, and from them.
 *
 * Other formats are streams of ids without documents.  Where a document ends is told by the end token; which that is,
 * by the tokenizer, or else by the file: what its arrays end with, or, where the end token stands before documents,
 * what it begins with.  So a file is read twice when it comes in. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/dataset.h"

static bool probe (const wb_look_t *look) {
    return !look->directory && look->nhead >= 9 && memcmp (look->head, "MMIDIDX\0", 9) == 0;
}

/* Without .idx. */
static char *prefix_of (const char *path) {
    const size_t n = strlen (path);
    return wb_strndup (path, wb_ends_with (path, ".idx") ? n - 4 : n);
}

static wb_status token_facts (json_t *facts, const wb_tokens_t *f) {
    int64_t bytes;
    uint64_t hash;
    wb_tokenizer_identity_t t;
    bool known;
    char text[WB_TOKENIZER_IDENTITY];
    const int64_t n = wb_tokens_count (f);
    WB_TRY (wb_fact_int (facts, "documents", wb_tokens_documents (f)));
    WB_TRY (wb_fact_int (facts, "tokens", n));
    WB_TRY (wb_tokens_identity (f, &bytes, &hash));
    WB_TRY (wb_fact_int (facts, "bytes", bytes));
    if (n > 0) WB_TRY (wb_fact_int (facts, "bytes a token", bytes / n));
    WB_TRY (wb_fact_text (facts, "identity", "%016" PRIx64, hash));
    WB_TRY (wb_tokens_tokenizer (&t, &known, f));
    return known ? wb_fact_text (facts, "tokenizer", "%s", wb_tokenizer_identity_text (text, &t)) : WB_OK;
}

static wb_status inspect (json_t *facts, const char *path) {
    wb_tokens_t *f;
    char *prefix = prefix_of (path);
    wb_status status = prefix != NULL ? wb_tokens_open (&f, prefix) : WB_NOMEM ("%s", path);
    if (status == WB_OK) {
        status = token_facts (facts, f);
        wb_tokens_close (f);
    }
    wb_free (prefix);
    return status;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* The id that all documents end with; -1: they do not end alike. */
static wb_status common_end (int32_t *eot, const wb_tokens_t *f) {
    const int64_t documents = wb_tokens_documents (f);
    *eot = -1;
    for (int64_t i = 0; i < documents; i++) {
        int64_t first, n;
        int32_t last = -1;
        WB_TRY (wb_tokens_document (f, &first, &n, i));
        if (n > 0) WB_TRY (wb_tokens_read (f, &last, first + n - 1, 1));
        if (n == 0 || (i > 0 && last != *eot)) {
            *eot = -1;
            return WB_OK;
        }
        *eot = last;
    }
    return WB_OK;
}

wb_status wb_tokens_export (const wb_export_t *x, const wb_format_t *to) {
    wb_tokens_t *f;
    int32_t eot = -1;
    WB_TRY (wb_export_new (x));
    char *prefix = prefix_of (x->from);
    wb_status status = prefix != NULL ? wb_tokens_open (&f, prefix) : WB_NOMEM ("%s", x->from);
    if (status == WB_OK) {
        status = common_end (&eot, f);
        if (status == WB_OK) status = to->write_ids (x, f, eot);
        if (status == WB_OK && eot < 0)
            wb_warn ("%s: its documents do not all end with the same id: where they end is lost", x->from);
        wb_tokens_close (f);
    }
    wb_free (prefix);
    return status;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

typedef struct stream {
    int64_t ids, arrays;
    int32_t first, last, most; /* of the array before; the largest id */
    bool alike;                /* all arrays end with the same id */
    /* second reading */
    int32_t eot; /* -1: the end of an array is that of a document */
    bool turn;   /* the first id is that of the last document */
    wb_tokens_writer_t *writer;
    wb_tokenizer_t *tokenizer; /* NULL: not given */
    int64_t pending;
} stream_t;

static wb_status count (void *ctx, const int32_t *ids, int64_t n, bool end) {
    stream_t *s = ctx;
    if (s->ids == 0 && n > 0) s->first = ids[0];
    for (int64_t i = 0; i < n; i++)
        if (ids[i] > s->most) s->most = ids[i];
    s->ids += n;
    s->pending = n > 0 ? ids[n - 1] : s->pending;
    if (!end) return WB_OK;
    if (s->arrays++ > 0 && s->pending != s->last) s->alike = false;
    if (s->pending < 0) s->alike = false; /* an empty array */
    s->last = (int32_t) s->pending;
    s->pending = -1;
    return WB_OK;
}

/* Ids up to where a document ends. */
static wb_status put (stream_t *s, const int32_t *ids, int64_t n, bool end) {
    s->pending += n;
    if (!end) return wb_tokens_writer_part (s->writer, ids, n);
    s->pending = 0;
    return wb_tokens_writer_put (s->writer, ids, n);
}

static wb_status write_on (void *ctx, const int32_t *ids, int64_t n, bool end) {
    stream_t *s = ctx;
    int64_t from = s->turn && s->ids == 0 && n > 0 ? 1 : 0;
    s->ids += n;
    for (int64_t i = from; i < n && s->eot >= 0; i++)
        if (ids[i] == s->eot) {
            WB_TRY (put (s, ids + from, i + 1 - from, true));
            from = i + 1;
        }
    if (s->eot >= 0 || !end) return n > from ? put (s, ids + from, n - from, false) : WB_OK;
    return put (s, ids + from, n - from, true);
}

static wb_status write_all (stream_t *s, const wb_format_t *format, const char *from, const char *prefix, int32_t V) {
    int64_t documents, tokens;
    char count[2][32];
    s->ids = s->pending = 0;
    WB_TRY (wb_tokens_writer_new (&s->writer, prefix, V));
    if (s->tokenizer != NULL) wb_tokens_writer_tokenizer (s->writer, s->tokenizer, NULL);
    wb_status status = format->read_ids (from, write_on, s);
    if (status == WB_OK && s->turn && s->ids > 0) status = put (s, &s->eot, 1, true);
    if (status == WB_OK && s->pending > 0) status = put (s, NULL, 0, true);
    if (status != WB_OK) {
        wb_tokens_writer_cancel (s->writer);
        return status;
    }
    WB_TRY (wb_tokens_writer_end (s->writer, &documents, &tokens));
    wb_info ("%s: %s tokens in %s document%s, end token %d", prefix, wb_format_count (count[0], tokens),
             wb_format_count (count[1], documents), wb_plural (documents), (int) s->eot);
    return WB_OK;
}

static wb_status end_of (int32_t *eot, int32_t *V, stream_t *s, const wb_format_t *format, const char *from,
                         const char *tokenizer) {
    *eot = format->end_first ? s->first : s->alike ? s->last : -1;
    *V = s->most + 1;
    if (tokenizer == NULL) {
        if (*eot >= 0)
            wb_info ("%s: without --tokenizer, id %d, with which it %s, is taken for the end of documents", from,
                     (int) *eot, format->end_first ? "begins" : "ends");
        return WB_OK;
    }
    WB_TRY (wb_tokenizer_new (&s->tokenizer, tokenizer));
    *eot = wb_tokenizer_eot (s->tokenizer);
    *V = wb_tokenizer_size (s->tokenizer);
    if (s->most < *V) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: has the id %d, tokenizer %s has %d ids: they do not belong together", from,
                    (int) s->most, tokenizer, (int) *V);
}

wb_status wb_tokens_import (const wb_format_t *format, const char *from, const char *prefix, const char *tokenizer) {
    stream_t s = {.first = -1, .last = -1, .most = -1, .pending = -1, .alike = true};
    int32_t V = 0;
    char *idx = wb_format ("%s.idx", prefix);
    wb_status status = idx != NULL ? WB_OK : WB_NOMEM ("%s", prefix);
    if (status == WB_OK && wb_file_exists (idx))
        status = WB_FAIL (WB_EUSAGE, "%s: is there already; remove it, or name another place", idx);
    wb_free (idx);
    if (status == WB_OK) status = format->read_ids (from, count, &s);
    if (status == WB_OK && s.most == INT32_MAX) status = WB_FAIL (WB_EDATA, "%s: the id %d", from, (int) s.most);
    if (status == WB_OK) status = end_of (&s.eot, &V, &s, format, from, tokenizer);
    s.turn = format->end_first && s.eot >= 0 && s.first == s.eot;
    if (status == WB_OK) status = write_all (&s, format, from, prefix, V > 0 ? V : 1);
    wb_tokenizer_destroy (s.tokenizer);
    return status;
}

const wb_format_t wb_format_tokens = {
    .name = "tokens",
    .what = "a token file (Megatron's indexed dataset)",
    .probe = probe,
    .inspect = inspect,
};
