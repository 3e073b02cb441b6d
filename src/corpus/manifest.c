/* manifest.json: what a corpus was made of, what was kept and what went, and why.
 *
 * Counts come from the parts, in the order of the files, so it is the same on any number of ranks. */
#include "config.h"

#include <string.h>

#include "corpus/build.h"
#include "corpus/content.h"
#include "wabun/json.h"
#include "tokenizer/utf8.h"

uint64_t wb_corpus_identity (const char *text, const wb_corpus_files_t *f) {
    uint64_t h = wb_hash64 (text, strlen (text));
    for (int64_t i = 0; i < f->len; i++) {
        const uint64_t x[4] = {h, wb_hash64 (f->data[i].path, strlen (f->data[i].path)), (uint64_t) f->data[i].bytes,
                               (uint64_t) f->data[i].mtime};
        h = wb_hash64 (x, sizeof x);
    }
    return h;
}

static void hex (char buf[17], uint64_t x) { snprintf (buf, 17, "%016llx", (unsigned long long) x); }

/* Options that change nothing of a corpus. */
static bool is_of_no_matter (const char *line) {
    static const char *const names[] = {"memory = ", "threads = ", "keep_work = "};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp (line, names[i], strlen (names[i])) == 0) return true;
    return false;
}

static const char *next_line (const char *s) { return s[strcspn (s, "\n")] != 0 ? s + strcspn (s, "\n") + 1 : ""; }

/* The first line of text that is not that of `before`; NULL: they are the same. */
static const char *first_change (const char *text, const char *before) {
    for (;; text = next_line (text), before = next_line (before)) {
        while (is_of_no_matter (text)) text = next_line (text);
        while (is_of_no_matter (before)) before = next_line (before);
        if (*text == 0 && *before == 0) return NULL;
        const size_t n = strcspn (text, "\n");
        if (n != strcspn (before, "\n") || strncmp (text, before, n) != 0) return text;
    }
}

wb_status wb_manifest_look (const char *dir, bool *same, uint64_t identity, const char *text, bool force) {
    char want[17], *path = wb_format ("%s/manifest.json", dir);
    *same = false;
    if (path == NULL) return WB_NOMEM ("%s", dir);
    json_t *m = wb_file_exists (path) ? wb_json_load_file (path, 0, NULL) : NULL;
    wb_free (path);
    if (m == NULL) return wb_json_status (m);
    wb_status status = WB_OK;
    const char *was = json_string_value (json_object_get (m, "identity"));
    const char *options = json_string_value (json_object_get (m, "options"));
    const char *change = options != NULL ? first_change (text, options) : text;
    if (change != NULL) change += strspn (change, " ");
    hex (want, identity);
    *same = was != NULL && strcmp (was, want) == 0;
    if (!*same && change != NULL && !force)
        status = WB_FAIL (WB_EUSAGE,
                          "%s is there already, made with another configuration (first change: %.*s): name another "
                          "`corpus`, or replace it by --force",
                          dir, (int) strcspn (change, "\n"), change);
    else if (!*same)
        wb_info ("%s: %s; it is made again", dir,
                 change != NULL ? "the configuration has changed" : "files of its sources have changed");
    json_decref (m);
    return status;
}

/* ---- parts of it ------------------------------------------------------------------------------------------------- */

/* What goes wrong is the error record: put_sources() looks at it. */
static void put_document (json_t *list, wb_part_reader_t *r, const wb_parts_t *p, int64_t document, const char *key,
                          int64_t n) {
    const wb_part_t *part = wb_parts_of (p, document);
    wb_texts_t t;
    if (wb_part_read (r, &t, part, document - part->first_document) != WB_OK) return;
    json_t *o = wb_counts_text (t.s[0], t.n[0], t.s[3], t.n[3]);
    json_object_set_new (o, key, json_integer (n));
    json_array_append_new (list, o);
}

/* Duplicates of each source into its counts; size [documents]: how many hang together with each. */
static void count_duplicates (json_t *counts, const wb_part_t *part, const unsigned char *state, const int64_t *first,
                              int64_t *size, const wb_parts_t *p, wb_part_reader_t *r) {
    for (int64_t i = 0; i < part->n; i++) {
        const int64_t d = part->first_document + i;
        size[first[d]]++;
        if (state[d] == WB_KEPT) continue;
        const char *reason = wb_reason_name (state[d]);
        wb_counts_add (counts, "dropped", reason, 1);
        json_t *list = json_array (), *o;
        if (json_array_size (json_object_get (json_object_get (counts, "samples"), reason)) < WB_SAMPLES)
            put_document (list, r, p, d, "of", first[d]);
        o = json_array_get (list, 0);
        if (o != NULL) {
            json_t *of = json_array ();
            put_document (of, r, p, first[d], "of", first[d]);
            json_object_set (o, "of", json_object_get (json_array_get (of, 0), "id"));
            json_decref (of);
            wb_counts_sample (counts, "samples", reason, json_incref (o));
        }
        json_decref (list);
    }
}

static json_t *most_frequent (const wb_parts_t *p, int64_t *size, wb_part_reader_t *r) {
    json_t *list = json_array ();
    for (int k = 0; k < 10; k++) {
        int64_t best = -1;
        for (int64_t d = 0; d < p->documents; d++)
            if (size[d] > 1 && (best < 0 || size[d] > size[best])) best = d;
        if (best < 0) break;
        put_document (list, r, p, best, "times", size[best]);
        size[best] = 0;
    }
    return list;
}

static json_t *shard_json (const wb_shard_t *s, const wb_corpus_options_t *o) {
    char hash[17], *name = wb_shard_name (s, o);
    if (name == NULL) (void) WB_NOMEM ("the manifest");
    json_t *j = json_object ();
    hex (hash, (uint64_t) s->hash);
    json_object_set_new (j, "file", json_string (name != NULL ? name : ""));
    json_object_set_new (j, "genre", json_string (wb_corpus_source (o, s->genre)->genre));
    json_object_set_new (j, "validation", json_boolean (s->valid));
    json_object_set_new (j, "documents", json_integer (s->documents));
    json_object_set_new (j, "characters", json_integer (s->characters));
    json_object_set_new (j, "text_bytes", json_integer (s->bytes));
    json_object_set_new (j, "bytes", json_integer (s->packed));
    json_object_set_new (j, "xxh64", json_string (hash));
    wb_free (name);
    return j;
}

static json_t *source_json (const wb_corpus_source_t *s, double weight, json_t *counts) {
    json_t *j = json_object ();
    json_object_set_new (j, "path", json_string (s->path));
    json_object_set_new (j, "genre", json_string (s->genre));
    json_object_set_new (j, "licence", json_string (s->licence));
    json_object_set_new (j, "weight", json_real (weight));
    json_object_set_new (j, "counts", counts);
    return j;
}

static json_t *filters_json (const wb_corpus_options_t *o) {
    json_t *list = json_array ();
    for (int i = 0; i < WB_FILTERS_N; i++) {
        json_t *f = json_object ();
        json_object_set_new (f, "reason", json_string (wb_filters[i].reason));
        json_object_set_new (f, "option", json_string (wb_filters[i].option));
        json_object_set_new (f, "bound", json_real (o->filters[i]));
        json_object_set_new (f, "from", json_string (wb_filters[i].source));
        json_array_append_new (list, f);
    }
    return list;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* A source of which nothing stays is an error: the user named it for something. */
static wb_status check (const wb_corpus_source_t *s, int i, const json_t *counts) {
    const int64_t documents = json_integer_value (json_object_get (counts, "documents"));
    const json_t *dropped = json_object_get (counts, "dropped");
    const char *key, *why = "";
    json_t *n;
    int64_t all = 0, most = 0;
    json_object_foreach ((json_t *) (uintptr_t) dropped, key, n) {
        const bool late =
            strcmp (key, wb_reason_name (WB_REASON_EXACT)) == 0 || strcmp (key, wb_reason_name (WB_REASON_NEAR)) == 0;
        if (!late) all += json_integer_value (n);
        if (!late && json_integer_value (n) > most) most = json_integer_value (n), why = key;
    }
    if (documents == 0) {
        const json_t *first = json_object_get (counts, "complaints");
        const char *kind = json_object_iter_key (json_object_iter ((json_t *) (uintptr_t) first));
        if (json_object_get (counts, WB_UNREAD) != NULL)
            return WB_FAIL (WB_EIO, "source %d, %s: no text in it, of what could be read", i + 1, s->path);
        return WB_FAIL (WB_EDATA, "source %d, %s: no text in it%s%s%s", i + 1, s->path, kind != NULL ? " (" : "",
                        kind != NULL ? kind : "", kind != NULL ? ")" : "");
    }
    if (all == documents)
        return WB_FAIL (WB_EDATA,
                        "source %d, %s: the filters leave nothing of its %lld document%s, most for \"%s\": see "
                        "filters.* in `wabun help corpus`",
                        i + 1, s->path, (long long) documents, wb_plural (documents), why);
    return WB_OK;
}

static void warn_markup (const wb_corpus_source_t *s, int i, const json_t *counts) {
    char where[320];
    int64_t n[WB_FORMS];
    const char *such[WB_FORMS];
    const json_t *markup = json_object_get (counts, "markup"), *samples = json_object_get (counts, "markup_samples");
    for (int f = 0; f < WB_FORMS; f++) {
        n[f] = json_integer_value (json_object_get (markup, wb_form_names[f]));
        such[f] =
            json_string_value (json_object_get (json_array_get (json_object_get (samples, wb_form_names[f]), 0), "id"));
    }
    snprintf (where, sizeof where, "source %d, %.250s: ", i + 1, s->path);
    wb_content_markup_warn (n, such, where, "in a source of its own before this one,");
}

static wb_status put_sources (json_t *m, const wb_corpus_options_t *o, wb_parts_t *p, const unsigned char *state,
                              const int64_t *first) {
    wb_part_reader_t reader = {0};
    json_t *sources = json_array (), *total = wb_counts_new ();
    int64_t *size = wb_calloc ((size_t) p->documents + 1, sizeof *size), i = 0;
    wb_status status = size != NULL ? WB_OK : WB_NOMEM ("duplicates");
    for (int s = 0; s < o->sources.n && status == WB_OK; s++) {
        json_t *counts = wb_counts_new ();
        if (counts == NULL) status = WB_NOMEM ("the manifest");
        for (; i < p->len && p->data[i].source == s; i++) {
            json_t *c = wb_part_counts (&p->data[i]);
            if (status == WB_OK) status = wb_json_status (c);
            wb_counts_merge (counts, c);
            json_decref (c);
            count_duplicates (counts, &p->data[i], state, first, size, p, &reader);
        }
        wb_counts_merge (total, counts);
        if (status == WB_OK) status = check (wb_corpus_source (o, s), s, counts);
        if (status == WB_OK) warn_markup (wb_corpus_source (o, s), s, counts);
        json_array_append_new (sources, source_json (wb_corpus_source (o, s), wb_corpus_weight (o, s), counts));
    }
    json_object_set_new (m, "total", total);
    json_object_set_new (m, "sources", sources);
    if (status == WB_OK) json_object_set_new (m, "most_frequent", most_frequent (p, size, &reader));
    if (status == WB_OK) status = (wb_status) wb_error_get ()->status;
    wb_part_reader_fini (&reader);
    wb_free (size);
    return status;
}

static void put_files (json_t *m, const wb_corpus_files_t *f) {
    json_t *list = json_array ();
    for (int64_t i = 0; i < f->len && i < 10000; i++) {
        json_t *j = json_object ();
        size_t at;
        const char *path = f->data[i].path;
        json_object_set_new (j, "path", json_string (wb_utf8_valid (path, strlen (path), &at) ? path : "?"));
        json_object_set_new (j, "bytes", json_integer (f->data[i].bytes));
        json_array_append_new (list, j);
    }
    json_object_set_new (m, "nfiles", json_integer (f->len));
    json_object_set_new (m, "files", list);
}

static void put_shards (json_t *m, const wb_corpus_options_t *o, const wb_shards_t *s) {
    json_t *shards = json_array (), *total = json_object_get (m, "total");
    int64_t emptied = 0, gone = 0;
    for (int64_t i = 0; i < s->len; i++) {
        json_array_append_new (shards, shard_json (&s->data[i], o));
        emptied += s->data[i].emptied;
        gone += s->data[i].lines_gone;
    }
    if (emptied > 0) wb_counts_add (total, "dropped", wb_reason_name (WB_REASON_LINES), emptied);
    json_object_set_new (m, "lines_gone", json_integer (gone));
    json_object_set_new (m, "shards", shards);
}

/* "too short 22, exact duplicate 19", the most first; *sum: of all.  NULL: none, or no memory. */
static char *counted (const json_t *counts, const char *key, int64_t *sum) {
    wb_buf_t b = {0};
    const json_t *all = json_object_get (counts, key), *names = json_object_get (counts, "complaint_samples");
    int64_t below = INT64_MAX;
    wb_status status = WB_OK;
    for (*sum = 0; status == WB_OK;) {
        const char *k;
        json_t *n;
        int64_t most = 0;
        json_object_foreach ((json_t *) (uintptr_t) all, k, n) {
            const int64_t v = json_integer_value (n);
            if (v < below && v > most) most = v;
        }
        if (most == 0) break;
        json_object_foreach ((json_t *) (uintptr_t) all, k, n) {
            if (json_integer_value (n) != most || status != WB_OK) continue;
            const char *id = json_string_value (json_object_get (json_array_get (json_object_get (names, k), 0), "id"));
            char *part = wb_format ("%s%s %lld%s%.200s%s", b.len > 0 ? ", " : "", k, (long long) most,
                                    id != NULL ? " (" : "", id != NULL ? id : "", id != NULL ? ")" : "");
            status = part != NULL ? wb_buf_put (&b, part, strlen (part)) : WB_NOMEM ("a list");
            wb_free (part);
            *sum += most;
        }
        below = most;
    }
    return b.data;
}

/* What came of the documents and what was left out, in two lines. */
static void tell (const json_t *m, const char *dir) {
    int64_t dropped, refused;
    const json_t *total = json_object_get (m, "total");
    const int64_t all = json_integer_value (json_object_get (total, "documents"));
    char *why = counted (total, "dropped", &dropped), *what = counted (total, "complaints", &refused);
    wb_info ("%lld document%s in %lld file%s: %lld kept, %lld dropped%s%s", (long long) all, wb_plural (all),
             (long long) json_integer_value (json_object_get (m, "nfiles")),
             wb_plural (json_integer_value (json_object_get (m, "nfiles"))), (long long) (all - dropped),
             (long long) dropped, why != NULL ? ": " : "", why != NULL ? why : "");
    if (refused > 0) wb_warn ("could not be used: %s; wabun corpus report %s has more", what != NULL ? what : "", dir);
    wb_free (why);
    wb_free (what);
    wb_error_clear (); /* the corpus is done; a list that there was no memory for is not told */
}

wb_status wb_manifest_write (const wb_corpus_options_t *o, const char *text, const wb_corpus_files_t *f, wb_parts_t *p,
                             const wb_shards_t *s, const unsigned char *state, const int64_t *first) {
    char identity[17], *path = wb_format ("%s/manifest.json", o->dir);
    const int64_t before = wb_json_lacks ();
    json_t *m = json_object ();
    hex (identity, wb_corpus_identity (text, f));
    json_object_set_new (m, "wabun", json_string (PACKAGE_VERSION));
    json_object_set_new (m, "identity", json_string (identity));
    json_object_set_new (m, "options", json_string (text));
    json_object_set_new (m, "filters", filters_json (o));
    wb_status status = path != NULL ? put_sources (m, o, p, state, first) : WB_NOMEM ("the manifest");
    put_files (m, f);
    put_shards (m, o, s);
    char *out = status == WB_OK ? json_dumps (m, JSON_INDENT (1)) : NULL;
    if (status == WB_OK) status = wb_json_since (before, "the manifest");
    if (status == WB_OK) status = (wb_status) wb_error_get ()->status; /* a document or a name that is missing */
    if (status == WB_OK && out == NULL) status = WB_NOMEM ("the manifest");
    if (status == WB_OK) status = wb_file_write (path, out, strlen (out));
    if (status == WB_OK) tell (m, o->dir);
    wb_free_foreign (out);
    json_decref (m);
    wb_free (path);
    return status;
}
