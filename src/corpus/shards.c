/* What stays, to shards: {"text": ..., "source": ..., "genre": ..., "id": ..., "licence": ...} a line, packed by zstd.
 *
 * Each genre has a row of shards and one for validation; a document is for validation by the hash of its characters, so
 * it stays there when the corpus grows.  Where a shard ends is decided by the bytes of the documents in front of it,
 * before anything is written, so shards are written by any rank and thread and are the same.
 *
 * Not done here: which documents stay (duplicates.c). */
#include "config.h"

#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the size of its state */
#include <xxhash.h>
#include <zstd.h>

#include "corpus/build.h"

enum { PACKED = 1 << 18 };

bool wb_corpus_is_validation (const char *path) {
    static const char end[] = ".jsonl.zst", mark[] = "-valid-";
    const size_t n = strlen (path), tail = sizeof mark - 1 + 5 + sizeof end - 1;
    const char *s = n > tail ? path + n - tail : "";
    return strncmp (s, mark, sizeof mark - 1) == 0 && strspn (s + sizeof mark - 1, "0123456789") == 5 &&
           strcmp (s + sizeof mark - 1 + 5, end) == 0;
}

char *wb_shard_name (const wb_shard_t *s, const wb_corpus_options_t *o) {
    return wb_format ("%s%s-%05lld.jsonl.zst", wb_corpus_source (o, s->genre)->genre, s->valid ? "-valid" : "",
                      (long long) s->number);
}

static int genre_of (const wb_corpus_options_t *o, int source) {
    int i = 0;
    while (strcmp (wb_corpus_source (o, i)->genre, wb_corpus_source (o, source)->genre) != 0) i++;
    return i;
}

static bool is_valid (const wb_corpus_options_t *o, uint64_t exact) {
    return (double) (exact * UINT64_C (0x9e3779b97f4a7c15) >> 11) * 0x1p-53 < o->validation;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

typedef struct stream {
    int64_t shard, bytes, number; /* the open one, -1: none; bytes in it */
} stream_t;

static wb_status plan_document (wb_shards_t *s, stream_t *t, const wb_corpus_options_t *o, int genre, int valid,
                                int64_t document, int64_t bytes) {
    if (t->number == 0 || t->bytes >= o->shard_bytes) {
        if (!WB_GROW (s->data, s->cap, s->len + 1)) return WB_NOMEM ("shards");
        s->data[s->len] = (wb_shard_t){.genre = genre, .valid = valid, .number = t->number++, .first = document};
        t->shard = s->len++;
        t->bytes = 0;
    }
    t->bytes += bytes;
    s->data[t->shard].last = document;
    return WB_OK;
}

static wb_status plan (wb_shards_t *s, const wb_parts_t *p, const wb_corpus_options_t *o, const unsigned char *state) {
    stream_t *streams = wb_calloc (2 * (size_t) o->sources.n, sizeof *streams);
    wb_status status = streams != NULL ? WB_OK : WB_NOMEM ("shards");
    for (int64_t i = 0; i < p->len && status == WB_OK; i++) {
        const wb_part_t *part = &p->data[i];
        const int genre = genre_of (o, part->source);
        for (int64_t j = 0; j < part->n && status == WB_OK; j++) {
            const int64_t document = part->first_document + j;
            if (state[document] != WB_KEPT) continue;
            const int valid = is_valid (o, part->rows[j].exact);
            status = plan_document (s, &streams[2 * genre + valid], o, genre, valid, document, part->rows[j].bytes);
        }
    }
    wb_free (streams);
    return status;
}

/* ---- one shard --------------------------------------------------------------------------------------------------- */

typedef struct shard_writer {
    const wb_parts_t *parts;
    const wb_corpus_options_t *o;
    const unsigned char *state;
    const uint64_t *lines; /* of sites, which go */
    int64_t nlines;
    wb_shard_t *shard;
    wb_writer_t file;
    ZSTD_CCtx *packer;
    XXH64_state_t hash;
    wb_part_reader_t reader;
    wb_buf_t line, text;
    char packed[PACKED];
} shard_writer_t;

static wb_status pack (shard_writer_t *w, const void *data, size_t n, ZSTD_EndDirective end) {
    ZSTD_inBuffer in = {data, n, 0};
    for (size_t left = 1; left > 0 || in.pos < in.size;) {
        ZSTD_outBuffer out = {w->packed, sizeof w->packed, 0};
        left = ZSTD_compressStream2 (w->packer, &out, &in, end);
        if (ZSTD_isError (left)) return WB_NOMEM ("packing %s", w->file.path);
        if (end == ZSTD_e_continue && in.pos == in.size) left = 0;
        w->shard->packed += (int64_t) out.pos;
        XXH64_update (&w->hash, w->packed, out.pos);
        if (out.pos > 0) WB_TRY (wb_writer_put (&w->file, w->packed, out.pos));
    }
    return WB_OK;
}

/* s [n] as a string of JSON; it is UTF-8. */
static wb_status put_string (wb_buf_t *b, const char *s, size_t n) {
    size_t done = 0;
    WB_TRY (wb_buf_reserve (b, n + 2));
    WB_TRY (wb_buf_put (b, "\"", 1));
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char) s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        char esc[8];
        const int k = c == '\n'   ? snprintf (esc, sizeof esc, "\\n")
                      : c == '\t' ? snprintf (esc, sizeof esc, "\\t")
                      : c < 0x20  ? snprintf (esc, sizeof esc, "\\u%04x", c)
                                  : snprintf (esc, sizeof esc, "\\%c", c);
        WB_TRY (wb_buf_put (b, s + done, i - done));
        WB_TRY (wb_buf_put (b, esc, (size_t) k));
        done = i + 1;
    }
    WB_TRY (wb_buf_put (b, s + done, n - done));
    return wb_buf_put (b, "\"", 1);
}

static wb_status put_line (shard_writer_t *w, const wb_texts_t *t, const char *text, size_t n) {
    static const struct {
        const char *key;
        int from;
    } fields[] = {{", \"source\": ", 1}, {", \"genre\": ", -1}, {", \"id\": ", 0}, {", \"licence\": ", 2}};
    const char *genre = wb_corpus_source (w->o, w->shard->genre)->genre;
    wb_buf_t *b = &w->line;
    wb_buf_clear (b);
    WB_TRY (wb_buf_put (b, "{\"text\": ", 9));
    WB_TRY (put_string (b, text, n));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const int from = fields[i].from;
        WB_TRY (wb_buf_put (b, fields[i].key, strlen (fields[i].key)));
        WB_TRY (from < 0 ? put_string (b, genre, strlen (genre)) : put_string (b, t->s[from], t->n[from]));
    }
    return wb_buf_put (b, "}\n", 2);
}

static wb_status put_document (shard_writer_t *w, const wb_part_t *p, int64_t i) {
    wb_texts_t t;
    WB_TRY (wb_part_read (&w->reader, &t, p, i));
    const char *text = t.s[3];
    size_t n = t.n[3];
    int64_t gone = 0, chars = 0;
    if (p->rows[i].site != 0 && w->nlines > 0) {
        WB_TRY (wb_site_lines_drop (&w->text, &gone, text, n, p->rows[i].site, w->lines, w->nlines));
        text = w->text.data, n = w->text.len;
        w->shard->lines_gone += gone;
    }
    for (size_t k = 0; k < n; k++) chars += ((unsigned char) text[k] & 0xc0) != 0x80;
    if (gone > 0 && (double) chars < w->o->filters[WB_FILTER_min_chars]) {
        w->shard->emptied++;
        return WB_OK;
    }
    WB_TRY (put_line (w, &t, text, n));
    w->shard->documents++;
    w->shard->characters += chars;
    w->shard->bytes += (int64_t) w->line.len;
    return pack (w, w->line.data, w->line.len, ZSTD_e_continue);
}

static wb_status put_documents (shard_writer_t *w) {
    const wb_shard_t *s = w->shard;
    for (int64_t d = s->first; d <= s->last;) {
        const wb_part_t *p = wb_parts_of (w->parts, d);
        const bool same = genre_of (w->o, p->source) == s->genre;
        const int64_t end = p->first_document + p->n;
        for (; d < end && d <= s->last; d++)
            if (same && w->state[d] == WB_KEPT &&
                is_valid (w->o, p->rows[d - p->first_document].exact) == (s->valid != 0))
                WB_TRY (put_document (w, p, d - p->first_document));
    }
    return pack (w, NULL, 0, ZSTD_e_end);
}

static wb_status write_shard (shard_writer_t *w) {
    char *name = wb_shard_name (w->shard, w->o), *path = name != NULL ? wb_format ("%s/%s", w->o->dir, name) : NULL;
    wb_status status = path != NULL ? wb_writer_begin (&w->file, path) : WB_NOMEM ("shards");
    wb_free (name);
    wb_free (path);
    WB_TRY (status);
    w->packer = ZSTD_createCCtx ();
    XXH64_reset (&w->hash, 0);
    if (w->packer == NULL) return WB_NOMEM ("shards");
    ZSTD_CCtx_setParameter (w->packer, ZSTD_c_compressionLevel, w->o->level);
    ZSTD_CCtx_setParameter (w->packer, ZSTD_c_checksumFlag, 1);
    WB_TRY (put_documents (w));
    w->shard->hash = (int64_t) XXH64_digest (&w->hash);
    return wb_writer_end (&w->file);
}

static wb_status write_one (wb_shard_t *s, const shard_writer_t *like) {
    shard_writer_t *w = wb_malloc (sizeof *w);
    if (w == NULL) return WB_NOMEM ("shards");
    *w = *like;
    w->shard = s;
    const wb_status status = write_shard (w);
    if (status != WB_OK && w->file.path != NULL) wb_writer_cancel (&w->file);
    ZSTD_freeCCtx (w->packer);
    wb_part_reader_fini (&w->reader);
    wb_buf_fini (&w->line);
    wb_buf_fini (&w->text);
    wb_free (w);
    return status;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static wb_status write_mine (wb_shards_t *s, const shard_writer_t *like, int ranks, int rank, int threads) {
    wb_status result = WB_OK;
    wb_error_t error = {0};
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = rank; i < s->len; i += ranks) {
        const wb_status status = write_one (&s->data[i], like);
        if (status == WB_OK) continue;
#pragma omp critical(wb_shards)
        if (result == WB_OK) {
            result = status;
            wb_error_take (&error);
        }
    }
    if (result != WB_OK) wb_error_put (&error);
    return result;
}

/* What each rank knows of its shards, on all. */
static void share (wb_shards_t *s, wb_comm_t *world) {
    for (int64_t i = 0; i < s->len; i++) {
        wb_shard_t *x = &s->data[i];
        int64_t n[] = {x->documents, x->characters, x->bytes, x->packed, x->hash, x->emptied, x->lines_gone};
        wb_comm_sum_i64 (world, n, sizeof n / sizeof *n); /* the others have zeros */
        x->documents = n[0], x->characters = n[1], x->bytes = n[2], x->packed = n[3], x->hash = n[4], x->emptied = n[5];
        x->lines_gone = n[6];
    }
}

/* Put down which files there will be, so that they can be found again if this ends before there is a manifest. */
static wb_status put_down (const wb_shards_t *s, const wb_corpus_options_t *o) {
    wb_buf_t b = {0};
    wb_status status = wb_buf_put (&b, "", 0);
    for (int64_t i = 0; i < s->len && status == WB_OK; i++) {
        char *name = wb_shard_name (&s->data[i], o);
        status = name != NULL ? wb_buf_put (&b, name, strlen (name)) : WB_NOMEM ("shards");
        if (status == WB_OK) status = wb_buf_put (&b, "\n", 1);
        wb_free (name);
    }
    char *path = wb_format ("%s/" WB_SHARDS_PLANNED, o->dir);
    if (status == WB_OK) status = path != NULL ? wb_file_write (path, b.data, b.len) : WB_NOMEM ("shards");
    wb_free (path);
    wb_buf_fini (&b);
    return status;
}

wb_status wb_shards_write (wb_shards_t *out, wb_comm_t *world, const wb_parts_t *p, const wb_corpus_options_t *o,
                           const unsigned char *state, const uint64_t *lines, int64_t nlines, int threads) {
    *out = (wb_shards_t){0};
    shard_writer_t *like = wb_calloc (1, sizeof *like);
    wb_status status = like != NULL ? plan (out, p, o, state) : WB_NOMEM ("shards");
    if (status == WB_OK && wb_comm_rank (world) == 0) status = put_down (out, o);
    status = wb_agree (world, status);
    if (status == WB_OK) {
        like->parts = p, like->o = o, like->state = state, like->lines = lines, like->nlines = nlines;
        status = wb_agree (world, write_mine (out, like, wb_comm_size (world), wb_comm_rank (world), threads));
    }
    if (status == WB_OK) share (out, world);
    wb_free (like);
    return status;
}
