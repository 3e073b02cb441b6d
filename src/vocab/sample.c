/* A sample of documents: bottom-k by hash, in one reading.
 *
 * A text stays while its hash is among the lowest that fit.  So a corpus of any size is read with the memory of the
 * sample, and any part of it has the same chance.  Long documents are cut into pieces, lest one of them be the sample.
 *
 * Not done here: finding text in files (corpus), counting. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vocab/sample.h"

enum { PIECE = 1 << 16, RECORD = 16 << 20 };

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static wb_status genre_of (int *out, wb_sample_t *s, const char *name, size_t n) {
    if (n >= WB_SAMPLE_NAME) n = WB_SAMPLE_NAME - 1;
    for (int i = 0; i < s->genres; i++)
        if (strlen (s->genre[i]) == n && memcmp (s->genre[i], name, n) == 0) {
            *out = i;
            return WB_OK;
        }
    if (s->genres == WB_SAMPLE_GENRES)
        return WB_FAIL (WB_EDATA, "more than %d genres, the last \"%.*s\": a genre is what many documents share",
                        WB_SAMPLE_GENRES, (int) n, name);
    memcpy (s->genre[s->genres], name, n);
    s->genre[s->genres][n] = 0;
    *out = s->genres++;
    return WB_OK;
}

static wb_status read_weights (wb_sample_t *s, const wb_sample_options_t *o) {
    s->weighted = o->nweights > 0;
    for (int i = 0; i < o->nweights; i++) {
        const char *equals = strrchr (o->weights[i], '=');
        int genre;
        if (equals == NULL || equals == o->weights[i])
            return WB_FAIL (WB_EUSAGE, "--weight %s: it is GENRE=WEIGHT, such as novel=0.5", o->weights[i]);
        WB_TRY (genre_of (&genre, s, o->weights[i], (size_t) (equals - o->weights[i])));
        WB_TRY (wb_opt_float (&s->weight[genre], "--weight", equals + 1, 1e-6, 1e6));
    }
    return WB_OK;
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static void swap (wb_sample_text_t *a, wb_sample_text_t *b) {
    const wb_sample_text_t x = *a;
    *a = *b;
    *b = x;
}

static void drop_highest (wb_sample_t *s, wb_sample_pool_t *p) {
    wb_sample_text_t *d = p->data, gone = d[0];
    p->limit = gone.key;
    p->bytes -= (int64_t) gone.bytes;
    s->bytes -= (int64_t) gone.bytes;
    s->kept[gone.genre] -= (int64_t) gone.bytes;
    wb_free (gone.text);
    d[0] = d[--p->len];
    for (int64_t i = 0, next; (next = 2 * i + 1) < p->len; i = next) {
        if (next + 1 < p->len && d[next + 1].key > d[next].key) next++;
        if (d[i].key >= d[next].key) break;
        swap (&d[i], &d[next]);
    }
}

static wb_status put (wb_sample_t *s, const wb_sample_options_t *o, int genre, const char *text, size_t n) {
    wb_sample_pool_t *p = &s->pool[s->weighted ? genre : 0];
    const uint64_t key = wb_rng_u64 (o->seed, wb_rng_stream ("sample"), wb_hash64 (text, n));
    s->read[genre] += (int64_t) n;
    if (p->cap == 0) p->limit = UINT64_MAX;
    if (key >= p->limit) return WB_OK;
    char *copy = wb_strndup (text, n);
    if (copy == NULL || !WB_GROW (p->data, p->cap, p->len + 1)) {
        wb_free (copy);
        return WB_NOMEM ("the sample of the corpus; --memory makes it smaller");
    }
    int64_t i = p->len++;
    p->data[i] = (wb_sample_text_t){copy, n, genre, key};
    for (; i > 0 && p->data[(i - 1) / 2].key < p->data[i].key; i = (i - 1) / 2)
        swap (&p->data[i], &p->data[(i - 1) / 2]);
    p->bytes += (int64_t) n;
    s->bytes += (int64_t) n;
    s->kept[genre] += (int64_t) n;
    while (s->bytes > o->bytes) {
        wb_sample_pool_t *most = &s->pool[0];
        for (int g = 0; s->weighted && g < s->genres; g++) {
            const double w = s->weight[g] > 0 ? s->weight[g] : 1, v = most->weight > 0 ? most->weight : 1;
            s->pool[g].weight = w;
            if ((double) s->pool[g].bytes / w > (double) most->bytes / v) most = &s->pool[g];
        }
        drop_highest (s, most);
    }
    return WB_OK;
}

/* Bytes of the next piece of a document: up to the next line end after PIECE, or between two characters where lines are
 * very long. */
static size_t piece_of (const char *text, size_t left) {
    if (left <= PIECE) return left;
    const size_t most = left < 2 * PIECE ? left : 2 * PIECE;
    const char *end = memchr (text + PIECE, '\n', most - PIECE);
    if (end != NULL) return (size_t) (end - text) + 1;
    size_t k = most;
    while (k < left && k > PIECE && ((unsigned char) text[k] & 0xc0) == 0x80) k--;
    return k;
}

static wb_status put_document (wb_sample_t *s, const wb_sample_options_t *o, const wb_document_t *d,
                               const char *input) {
    const char *name = d->genre.len > 0 ? d->genre.data : wb_file_name (input);
    const char *dot = d->genre.len > 0 ? NULL : strchr (name + 1, '.');
    size_t n = d->genre.len > 0 ? d->genre.len : dot != NULL ? (size_t) (dot - name) : strlen (name);
    int genre;
    WB_TRY (genre_of (&genre, s, n > 0 ? name : "text", n > 0 ? n : 4));
    const char *text = d->text.data;
    for (size_t left = d->text.len, k; left > 0; left -= k, text += k) {
        k = piece_of (text, left);
        WB_TRY (put (s, o, genre, text, k));
    }
    return WB_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void complain (void *ctx, const wb_complaint_t *c) {
    wb_sample_t *s = ctx;
    if (c->kind[0] == 0) return;
    if (s->left_out++ == 0) s->first = *c;
}

typedef struct reading {
    wb_sample_t *s;
    const wb_sample_options_t *o;
    wb_extractor_t *x;
    wb_record_t record;
    wb_document_t document;
} reading_t;

static wb_status read_file (reading_t *r, const char *path, const char *input) {
    /* A record, its text and the text's copy at once: a share of what the sample may hold, but books must fit. */
    const wb_records_options_t o = {
        .max_bytes = r->o->bytes / 4 > RECORD ? r->o->bytes / 4 : RECORD, .max_text = PIECE, .max_expansion = 1000};
    wb_records_t *records;
    WB_TRY (wb_records_open (&records, path, &o, complain, r->s));
    wb_status status;
    bool more;
    while ((status = wb_records_next (records, &r->record, &more)) == WB_OK && more) {
        bool got;
        wb_complaint_t why;
        wb_document_clear (&r->document);
        status = wb_extract (r->x, &r->document, &got, &why, &r->record);
        if (status == WB_OK && !got) complain (r->s, &why);
        if (status == WB_OK && got) status = put_document (r->s, r->o, &r->document, input);
        if (status != WB_OK) break;
    }
    wb_records_close (records);
    return status;
}

/* Of what wabun corpus has made only the shards are text. */
static bool is_corpus (const wb_names_t *names) {
    for (int64_t i = 0; i < names->len; i++)
        if (strcmp (names->data[i], "manifest.json") == 0) return true;
    return false;
}

/* Something in a directory that leads nowhere or may not be read is told and left out, as wabun encode does; links to
 * directories may lead in a circle. */
static bool is_left_out (reading_t *r, const char *path) {
    struct stat st;
    if (lstat (path, &st) == 0 && S_ISLNK (st.st_mode) && wb_file_is_dir (path)) return true;
    if (access (path, R_OK) == 0) return false;
    wb_complaint_t c = {.kind = "cannot be read"};
    snprintf (c.text, sizeof c.text, "%s", strerror (errno));
    snprintf (c.name, sizeof c.name, "%s", path);
    complain (r->s, &c);
    return true;
}

static wb_status read_input (reading_t *r, const char *path, const char *input, int depth) {
    if (depth > 0 && (is_left_out (r, path) || wb_corpus_is_validation (path))) return WB_OK;
    if (strcmp (path, "-") == 0 || !wb_file_is_dir (path)) return read_file (r, path, input);
    if (depth > 64) return WB_FAIL (WB_EIO, "%s: directories in directories, 64 deep", path);
    wb_names_t names = {0};
    wb_status status = wb_dir_list (&names, path);
    const bool corpus = is_corpus (&names);
    for (int64_t i = 0; i < names.len && status == WB_OK; i++) {
        if (names.data[i][0] == '.' || (corpus && strstr (names.data[i], ".jsonl") == NULL)) continue;
        char *inner = wb_format ("%s%s%s", path, path[strlen (path) - 1] == '/' ? "" : "/", names.data[i]);
        status = inner == NULL ? WB_NOMEM ("a path") : read_input (r, inner, input, depth + 1);
        wb_free (inner);
    }
    wb_names_fini (&names);
    return status;
}

/* Genres by directory: of the inputs' names without their last slashes. */
static wb_status read_all (reading_t *r) {
    const wb_extract_options_t options = {0};
    WB_TRY (wb_extractor_new (&r->x, &options));
    wb_status status = WB_OK;
    for (int i = 0; i < r->o->ninputs && status == WB_OK; i++) {
        char *name = wb_strdup (r->o->inputs[i]);
        if (name == NULL) status = WB_NOMEM ("a path");
        for (size_t n = name != NULL ? strlen (name) : 0; n > 1 && name[n - 1] == '/'; n--) name[n - 1] = 0;
        if (status == WB_OK) status = read_input (r, name, name, 0);
        wb_free (name);
    }
    wb_extractor_destroy (r->x);
    wb_record_fini (&r->record);
    wb_document_fini (&r->document);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int by_key (const void *a, const void *b) {
    const wb_sample_text_t *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static wb_status gather (wb_sample_t *s) {
    for (int p = 0; p < WB_SAMPLE_GENRES; p++) s->len += s->pool[p].len;
    s->texts = wb_malloc ((size_t) (s->len + 1) * sizeof *s->texts);
    if (s->texts == NULL) return WB_NOMEM ("the sample");
    wb_sample_text_t *to = s->texts;
    for (int p = 0; p < WB_SAMPLE_GENRES; p++) {
        for (int64_t i = 0; i < s->pool[p].len; i++) *to++ = s->pool[p].data[i];
        s->pool[p].len = 0;
    }
    qsort (s->texts, (size_t) s->len, sizeof *s->texts, by_key);
    return WB_OK;
}

/* What is kept of a genre against its share; the lowest counts 16. */
static wb_status set_times (wb_sample_t *s) {
    double factor[WB_SAMPLE_GENRES], least = 0;
    for (int g = 0; g < s->genres; g++) {
        if (s->weight[g] > 0 && s->read[g] == 0)
            return WB_FAIL (WB_EUSAGE, "--weight %s=...: there is no text of that genre", s->genre[g]);
        const double w = s->weight[g] > 0 ? s->weight[g] : 1;
        factor[g] = s->weighted && s->kept[g] > 0 ? w / (double) s->kept[g] : 1;
        if (g == 0 || factor[g] < least) least = factor[g];
    }
    for (int g = 0; g < s->genres; g++) {
        const double x = 16 * factor[g] / least;
        s->times[g] = x > 1 << 20 ? 1 << 20 : (int32_t) (x + 0.5);
    }
    return WB_OK;
}

wb_status wb_sample_read (wb_sample_t *s, const wb_sample_options_t *o) {
    reading_t r = {.s = s, .o = o};
    WB_TRY (read_weights (s, o));
    WB_TRY (read_all (&r));
    WB_TRY (gather (s));
    const wb_complaint_t *c = &s->first;
    if (s->len == 0)
        return s->left_out == 0
                   ? WB_FAIL (WB_EDATA, "there is no text in what was given")
                   : WB_FAIL (WB_EDATA, "there is no text in what was given: %s: %s, %s", c->name, c->kind, c->text);
    if (s->left_out > 0)
        wb_warn ("%lld record%s left out; the first: %s: %s, %s", (long long) s->left_out,
                 s->left_out == 1 ? " was" : "s were", c->name, c->kind, c->text);
    return set_times (s);
}

void wb_sample_fini (wb_sample_t *s) {
    for (int p = 0; p < WB_SAMPLE_GENRES; p++) {
        for (int64_t i = 0; i < s->pool[p].len; i++) wb_free (s->pool[p].data[i].text);
        wb_free (s->pool[p].data);
    }
    for (int64_t i = 0; s->texts != NULL && i < s->len; i++) wb_free (s->texts[i].text);
    wb_free (s->texts);
    *s = (wb_sample_t){0};
}
