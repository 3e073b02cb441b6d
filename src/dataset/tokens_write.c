/* Token files, writing: the .bin as the ids come, the .idx at the end.
 *
 * All are written under temporary names; _end() syncs them and renames them, .bin first, so that an .idx never stands
 * without its .bin.  What was there under those names stays until then, and comes back if a rename fails.
 * PREFIX.tokenizer says of which tokenizer the ids are, PREFIX.mask which of them count.  The lengths of the sequences
 * are kept in memory until then: 4 bytes each.
 *
 * Not done here: ids of more than 32 bits, other formats. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "corpus/made.h"
#include "dataset/dataset_priv.h"

#define PIECE ((size_t) 1 << 18) /* bytes of the buffer */

struct wb_tokens_writer {
    char *idx_path, *note_path, *mask_path;
    wb_writer_t bin, idx, note, mask;
    wb_tokenizer_identity_t tokenizer; /* kind "": not known, no note */
    const char *command;               /* NULL: not known */
    int32_t vocab;
    int dtype, width;
    int64_t tokens;
    int64_t open;     /* ids of the document that has not ended */
    wb_ids_t lengths; /* of sequences */
    wb_ids_t pieces;  /* sequences of each document; empty while all have one */
    int64_t documents;
    size_t n; /* bytes waiting in buf */
    unsigned char *buf;
};

wb_status wb_tokens_writer_new (wb_tokens_writer_t **out, const char *prefix, int32_t vocab) {
    *out = NULL;
    wb_tokens_writer_t *w = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("%s", prefix);
    w->vocab = vocab;
    w->dtype = vocab <= 65500 ? WB_IDX_U16 : WB_IDX_I32;
    w->width = wb_idx_width (w->dtype);
    w->idx_path = wb_format ("%s.idx", prefix);
    w->note_path = wb_format ("%s." WB_TOKENS_NOTE, prefix);
    w->mask_path = wb_format ("%s." WB_TOKENS_MASK, prefix);
    w->buf = wb_malloc (PIECE);
    char *bin = wb_format ("%s.bin", prefix);
    const bool all =
        w->idx_path != NULL && w->note_path != NULL && w->mask_path != NULL && w->buf != NULL && bin != NULL;
    wb_status status = all ? wb_writer_begin (&w->bin, bin) : WB_NOMEM ("%s", prefix);
    wb_free (bin);
    if (status == WB_OK)
        *out = w;
    else
        wb_tokens_writer_cancel (w);
    return status;
}

void wb_tokens_writer_tokenizer (wb_tokens_writer_t *w, const wb_tokenizer_t *t, const char *command) {
    wb_tokenizer_identify (&w->tokenizer, t);
    w->command = command;
}

wb_status wb_tokens_writer_mask (wb_tokens_writer_t *w) {
    WB_ASSERT (w->tokens == 0);
    return wb_writer_begin (&w->mask, w->mask_path);
}

/* ---- documents -------------------------------------------------------------------------------------------------- */

static wb_status flush (wb_tokens_writer_t *w) {
    size_t n = w->n;
    w->n = 0;
    return wb_writer_put (&w->bin, w->buf, n);
}

static wb_status put_plain (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    w->tokens += n;
    for (int64_t k; n > 0; n -= k, ids += k) {
        if (w->n == PIECE) WB_TRY (flush (w));
        const int64_t room = (int64_t) (PIECE - w->n) / w->width;
        unsigned bad = 0;
        k = n < room ? n : room;
        for (int64_t i = 0; i < k; i++) bad |= (unsigned) ((uint32_t) ids[i] >= (uint32_t) w->vocab);
        for (int64_t i = 0; bad != 0 && i < k; i++)
            if (ids[i] < 0 || ids[i] >= w->vocab)
                return WB_FAIL (WB_EDATA, "%s: id %d is to be written, but the vocabulary has 0 .. %d", w->bin.path,
                                (int) ids[i], (int) w->vocab - 1);
        if (w->dtype == WB_IDX_U16) {
            uint16_t *to = (uint16_t *) (void *) (w->buf + w->n);
            for (int64_t i = 0; i < k; i++) to[i] = (uint16_t) ids[i];
        } else
            memcpy (w->buf + w->n, ids, (size_t) k * sizeof *ids);
        w->n += (size_t) (k * w->width);
    }
    return WB_OK;
}

/* Ids, those that do not count as ~id. */
static wb_status put_ids (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    int32_t plain[1024];
    unsigned char counts[1024];
    if (w->mask.path == NULL) return put_plain (w, ids, n);
    for (int64_t k; n > 0; n -= k, ids += k) {
        k = n < 1024 ? n : 1024;
        for (int64_t i = 0; i < k; i++) {
            counts[i] = ids[i] >= 0;
            plain[i] = ids[i] < 0 ? ~ids[i] : ids[i];
        }
        WB_TRY (wb_writer_put (&w->mask, counts, (size_t) k));
        WB_TRY (put_plain (w, plain, k));
    }
    return WB_OK;
}

/* A document has ended that has this many sequences. */
static wb_status end_document (wb_tokens_writer_t *w, int64_t sequences) {
    if (sequences != 1 && w->pieces.len == 0)
        for (int64_t d = 0; d < w->documents; d++) WB_TRY (wb_ids_put (&w->pieces, 1));
    if (sequences != 1 || w->pieces.len > 0) WB_TRY (wb_ids_put (&w->pieces, (int32_t) sequences));
    w->documents++;
    return WB_OK;
}

wb_status wb_tokens_writer_part (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    w->open += n;
    return put_ids (w, ids, n);
}

wb_status wb_tokens_writer_put (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    int64_t sequences = 0; /* a length has 31 bits: a longer document has several sequences */
    WB_TRY (wb_tokens_writer_part (w, ids, n));
    do {
        const int64_t k = w->open < INT32_MAX ? w->open : INT32_MAX;
        WB_TRY (wb_ids_put (&w->lengths, (int32_t) k));
        w->open -= k;
        sequences++;
    } while (w->open > 0);
    return end_document (w, sequences);
}

static wb_status join_index (wb_tokens_writer_t *w, const wb_tokens_t *f) {
    wb_idx_cursor_t c;
    int64_t x, end = 0;
    wb_idx_lengths (&c, f);
    for (int64_t s = 0; s < f->sequences; s++) {
        WB_TRY (wb_idx_i32 (&c, &x));
        WB_TRY (wb_ids_put (&w->lengths, (int32_t) x));
    }
    wb_idx_documents (&c, f);
    WB_TRY (wb_idx_i64 (&c, &x));
    for (int64_t d = 0; d < f->documents; d++, x = end) {
        WB_TRY (wb_idx_i64 (&c, &end));
        if (end - x > INT32_MAX)
            return WB_FAIL (WB_EDATA, "%s.idx: document %lld has %lld sequences", f->prefix, (long long) d,
                            (long long) (end - x));
        WB_TRY (end_document (w, end - x));
    }
    return WB_OK;
}

wb_status wb_tokens_writer_join (wb_tokens_writer_t *w, const char *prefix) {
    wb_tokens_t *f;
    WB_TRY (wb_tokens_open (&f, prefix));
    int32_t buf[4096];
    wb_status status = WB_OK;
    for (int64_t first = 0, n; status == WB_OK && first < f->count; first += n) {
        n = f->count - first < 4096 ? f->count - first : 4096;
        status = w->mask.path != NULL ? wb_tokens_read_masked (f, buf, first, n) : wb_tokens_read (f, buf, first, n);
        if (status == WB_OK) status = put_ids (w, buf, n);
    }
    if (status == WB_OK) status = join_index (w, f);
    wb_tokens_close (f);
    return status;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* An int64 of the index, through buf. */
static wb_status put_number (wb_tokens_writer_t *w, int64_t x) {
    if (w->n == PIECE) {
        w->n = 0;
        WB_TRY (wb_writer_put (&w->idx, w->buf, PIECE));
    }
    memcpy (w->buf + w->n, &x, sizeof x);
    w->n += sizeof x;
    return WB_OK;
}

/* The .bin has been written: its buffer is free. */
static wb_status put_index (wb_tokens_writer_t *w) {
    unsigned char head[WB_IDX_HEADER];
    const uint64_t version = 1, sequences = (uint64_t) w->lengths.len, documents = (uint64_t) w->documents + 1;
    memcpy (head, WB_IDX_MAGIC, WB_IDX_MAGIC_BYTES);
    memcpy (head + WB_IDX_VERSION, &version, sizeof version);
    head[WB_IDX_DTYPE] = (unsigned char) w->dtype;
    memcpy (head + WB_IDX_SEQUENCES, &sequences, sizeof sequences);
    memcpy (head + WB_IDX_DOCUMENTS, &documents, sizeof documents);
    WB_TRY (wb_writer_put (&w->idx, head, sizeof head));
    WB_TRY (wb_writer_put (&w->idx, w->lengths.data, (size_t) w->lengths.len * sizeof *w->lengths.data));
    int64_t at = 0;
    for (int64_t s = 0; s < w->lengths.len; s++) {
        WB_TRY (put_number (w, at));
        at += (int64_t) w->lengths.data[s] * w->width;
    }
    at = 0;
    for (int64_t d = 0; d < w->documents; d++) {
        WB_TRY (put_number (w, at));
        at += w->pieces.len > 0 ? w->pieces.data[d] : 1;
    }
    WB_TRY (put_number (w, at));
    return wb_writer_put (&w->idx, w->buf, w->n);
}

/* Which tokenizer and which command it was; the number of ids tells whether the note is still of this file. */
static wb_status put_note (wb_tokens_writer_t *w) {
    const wb_tokenizer_identity_t *t = &w->tokenizer;
    if (t->kind[0] == 0) return WB_OK;
    char *command = NULL;
    if (w->command != NULL) WB_TRY (wb_made_json (&command, w->command));
    char *text = wb_format ("{\"tokenizer\": \"%s\", \"vocab_size\": %d, \"hash\": \"%016" PRIx64
                            "\", \"tokens\": %" PRId64 "%s%s}\n",
                            t->kind, (int) t->size, t->hash, w->tokens,
                            command != NULL ? ", \"" WB_MADE_KEY "\": " : "", command != NULL ? command : "");
    wb_status status = text != NULL ? wb_writer_begin (&w->note, w->note_path) : WB_NOMEM ("%s", w->note_path);
    if (status == WB_OK) status = wb_writer_put (&w->note, text, strlen (text));
    wb_free (text);
    wb_free (command);
    return status == WB_OK ? wb_writer_sync (&w->note) : status;
}

/* ---- into place: PREFIX.bin, .tokenizer, .mask, .idx -------------------------------------------------------- */

/* A file of an earlier encoding. */
typedef struct old_file {
    const char *path;
    char *aside; /* its name until the new ones are there */
    bool known, was_there;
} old_file_t;

static wb_status step_aside (old_file_t *o) {
    int error = wb_file_is_dir (o->path) ? EISDIR : 0;
    o->aside = wb_format ("%s.old", o->path);
    if (o->aside == NULL) return WB_NOMEM ("%s", o->path);
    if (error == 0 && rename (o->path, o->aside) != 0) error = errno;
    o->was_there = error == 0;
    o->known = error == 0 || error == ENOENT;
    return o->known ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot replace: %s", o->path, strerror (error));
}

static void put_back (const old_file_t *o) {
    if (!o->known) return;
    if (!o->was_there)
        unlink (o->path);
    else if (rename (o->aside, o->path) != 0)
        wb_warn ("%s: the old one is now called %s: %s", o->path, o->aside, strerror (errno));
}

static void forget (const old_file_t *o) {
    if (o->was_there && unlink (o->aside) != 0) wb_warn ("%s: left over: %s", o->aside, strerror (errno));
}

/* An old index must not meet a new .bin, so all old files step aside first, the index before the others; they come back
 * when the new ones cannot be put in their place. */
static wb_status into_place (wb_tokens_writer_t *w, const char *bin) {
    enum { OLD = 4 };
    old_file_t old[OLD] = {{.path = w->idx_path}, {.path = w->note_path}, {.path = w->mask_path}, {.path = bin}};
    wb_status status = WB_OK;
    for (int i = 0; i < OLD && status == WB_OK; i++) status = step_aside (&old[i]);
    if (status == WB_OK) status = wb_writer_end (&w->bin);
    if (status == WB_OK && w->note.path != NULL) status = wb_writer_end (&w->note);
    if (status == WB_OK && w->mask.path != NULL) status = wb_writer_end (&w->mask);
    if (status == WB_OK) status = wb_writer_end (&w->idx);
    for (int i = OLD - 1; i >= 0; i--) {
        if (status == WB_OK)
            forget (&old[i]);
        else
            put_back (&old[i]);
        wb_free (old[i].aside);
    }
    return status;
}

static wb_status finish (wb_tokens_writer_t *w) {
    WB_TRY (flush (w));
    WB_TRY (wb_writer_sync (&w->bin));
    if (w->mask.path != NULL) WB_TRY (wb_writer_sync (&w->mask));
    WB_TRY (wb_writer_begin (&w->idx, w->idx_path));
    WB_TRY (put_index (w));
    WB_TRY (wb_writer_sync (&w->idx));
    WB_TRY (put_note (w));
    char *bin = wb_strdup (w->bin.path); /* which the writer frees */
    const wb_status status = bin != NULL ? into_place (w, bin) : WB_NOMEM ("%s", w->idx_path);
    wb_free (bin);
    return status;
}

wb_status wb_tokens_writer_end (wb_tokens_writer_t *w, int64_t *documents, int64_t *tokens) {
    wb_status status = finish (w);
    if (documents != NULL) *documents = w->documents;
    if (tokens != NULL) *tokens = w->tokens;
    wb_tokens_writer_cancel (w); /* what has been renamed is not removed */
    return status;
}

void wb_tokens_writer_cancel (wb_tokens_writer_t *w) {
    if (w == NULL) return;
    wb_writer_cancel (&w->bin);
    wb_writer_cancel (&w->idx);
    wb_writer_cancel (&w->note);
    wb_writer_cancel (&w->mask);
    wb_free (w->idx_path);
    wb_free (w->note_path);
    wb_free (w->mask_path);
    wb_free (w->buf);
    wb_ids_fini (&w->lengths);
    wb_ids_fini (&w->pieces);
    wb_free (w);
}
