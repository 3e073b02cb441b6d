/* A corpus from its sources: parts, duplicates, shards, manifest, one after the other, on all ranks.
 *
 * The manifest comes last, so where it is the corpus is whole; it is removed before anything in the corpus changes.
 * Ctrl-C ends the program at once: parts that are done are in DIR/.work, and the next run takes them from there.
 *
 * Not done here: the configuration's file (src/config/corpus.c). */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "corpus/build.h"
#include "wabun/json.h"

static bool same_genre (const wb_corpus_options_t *o, int i, int k) {
    return strcmp (wb_corpus_source (o, i)->genre, wb_corpus_source (o, k)->genre) == 0;
}

double wb_corpus_weight (const wb_corpus_options_t *o, int i) {
    for (int k = 0; k < o->sources.n; k++)
        if (same_genre (o, i, k) && wb_corpus_source (o, k)->weight > 0) return wb_corpus_source (o, k)->weight;
    return 1;
}

static wb_status check (const wb_corpus_options_t *o) {
    const wb_duplicates_options_t *d = &o->duplicates;
    if (d->bands * d->rows > WB_MINHASH_MAX)
        return WB_FAIL (WB_EUSAGE, "`duplicates.bands` x `duplicates.rows` = %d: %d at most", d->bands * d->rows,
                        WB_MINHASH_MAX);
    for (int i = 0; i < o->sources.n; i++) {
        const wb_corpus_source_t *s = wb_corpus_source (o, i);
        const size_t n = strlen (s->genre);
        if (n == 0 || n > 100 || strchr (s->genre, '/') != NULL || s->genre[0] == '.' ||
            (n > 6 && strcmp (s->genre + n - 6, "-valid") == 0))
            return WB_FAIL (WB_EUSAGE,
                            "source %d: genre `%s`: it names files: a word without / that does not end in -valid",
                            i + 1, s->genre);
        for (int k = 0; k < i; k++)
            if (same_genre (o, i, k) && s->weight > 0 && wb_corpus_source (o, k)->weight > 0 &&
                s->weight != wb_corpus_source (o, k)->weight)
                return WB_FAIL (WB_EUSAGE,
                                "sources %d and %d: `weight` is that of genre %s as a whole, but they say %g and %g: "
                                "give it once",
                                k + 1, i + 1, s->genre, wb_corpus_source (o, k)->weight, s->weight);
    }
    return WB_OK;
}

/* What rank 0 sees: nothing to do, or what is different. */
static wb_status look (const wb_corpus_options_t *o, const char *text, const wb_corpus_files_t *f, bool *same,
                       bool force) {
    char *work = wb_format ("%s/.work", o->dir), *inside = wb_format ("%s/.work/", o->dir);
    wb_status status = work != NULL ? wb_manifest_look (o->dir, same, wb_corpus_identity (text, f), text, force)
                                    : WB_NOMEM ("%s", o->dir);
    if (status == WB_OK && !*same) status = wb_dir_make (work);
    if (status == WB_OK && !*same && inside != NULL) wb_temp_sweep (inside);
    wb_free (inside);
    wb_free (work);
    return status;
}

static void remove_in (const char *dir, const char *name) {
    char *path = name != NULL && name[0] != 0 && strchr (name, '/') == NULL ? wb_format ("%s/%s", dir, name) : NULL;
    if (path != NULL) unlink (path);
    wb_free (path);
}

/* Those that a call was about to write which did not come to its manifest. */
static void clear_planned (const char *dir) {
    wb_lines_t l;
    char *path = wb_format ("%s/" WB_SHARDS_PLANNED, dir);
    const char *name = "";
    size_t n;
    if (path != NULL && wb_file_exists (path) && wb_lines_open (&l, path) == WB_OK) {
        while (wb_lines_next (&l, &name, &n, true) == WB_OK && name != NULL) {
            char *one = wb_format ("%.*s", (int) n, name);
            if (one != NULL) remove_in (dir, one);
            wb_free (one);
        }
        wb_lines_close (&l);
    }
    wb_free (path);
}

/* Shards of before, and the manifest first. */
static wb_status clear (const char *dir) {
    wb_names_t names;
    char *path = wb_format ("%s/manifest.json", dir);
    if (path == NULL) return WB_NOMEM ("%s", dir);
    json_t *m = wb_file_exists (path) ? wb_json_load_file (path, 0, NULL) : NULL;
    const wb_status read = wb_json_status (m);
    if (read == WB_OK) unlink (path);
    wb_free (path);
    WB_TRY (read);
    const json_t *shards = json_object_get (m, "shards");
    for (size_t i = 0; i < json_array_size (shards); i++)
        remove_in (dir, json_string_value (json_object_get (json_array_get (shards, i), "file")));
    json_decref (m);
    clear_planned (dir);
    remove_in (dir, "report.html"); /* of what is gone */
    WB_TRY (wb_dir_list (&names, dir));
    for (int64_t i = 0; i < names.len; i++)
        if (strstr (names.data[i], ".jsonl.zst.tmp-") != NULL) remove_in (dir, names.data[i]);
    wb_names_fini (&names);
    return WB_OK;
}

/* ---- what is printed --------------------------------------------------------------------------------------------- */

/* The first source of its genre. */
static bool is_first (const wb_corpus_options_t *o, int i) {
    for (int k = 0; k < i; k++)
        if (same_genre (o, i, k)) return false;
    return true;
}

/* Is there a shard of the genre that has this first source (-1: of any)? */
static bool has_shard (const wb_shards_t *s, int genre, int valid) {
    for (int64_t i = 0; i < s->len; i++)
        if (s->data[i].valid == valid && (genre < 0 || s->data[i].genre == genre)) return true;
    return false;
}

static void print_example (const wb_corpus_options_t *o, const wb_shards_t *s) {
    const bool valid = has_shard (s, -1, 1);
    for (int i = 0; i < o->sources.n && o->validation > 0; i++)
        if (is_first (o, i) && has_shard (s, i, 0) && !has_shard (s, i, 1))
            wb_warn ("genre %s has so few documents that validation = %g chose none of them: a larger share may",
                     wb_corpus_source (o, i)->genre, o->validation);
    wb_info ("For training, with a tokenizer T (weight: a genre's share of the windows that are trained on):");
    for (int i = 0; i < o->sources.n; i++)
        if (is_first (o, i) && has_shard (s, i, 0))
            wb_info ("  wabun encode --tokenizer T -o tok/%s %s/%s-[0-9]*.jsonl.zst", wb_corpus_source (o, i)->genre,
                     o->dir, wb_corpus_source (o, i)->genre);
    if (valid) wb_info ("  wabun encode --tokenizer T -o tok/valid %s/*-valid-*.jsonl.zst", o->dir);
    wb_info ("  data = { train = (");
    for (int i = 0, n = 0; i < o->sources.n; i++)
        if (is_first (o, i) && has_shard (s, i, 0))
            wb_info ("    %s{ tokens = \"tok/%s\"; weight = %g; }", n++ > 0 ? ", " : "", wb_corpus_source (o, i)->genre,
                     wb_corpus_weight (o, i));
    wb_info ("  );%s };", valid ? " validation = \"tok/valid\";" : "");
}

static void print (const wb_corpus_options_t *o, const wb_shards_t *s, const wb_corpus_files_t *f, double seconds) {
    char a[32], b[32], c[32], d[32];
    int64_t documents = 0, chars = 0, bytes = 0;
    for (int64_t i = 0; i < s->len; i++)
        documents += s->data[i].documents, chars += s->data[i].characters, bytes += s->data[i].packed;
    wb_info ("%s: %s document%s, %s characters in %lld shard%s (%s); %s, %.1f MB/s", o->dir,
             wb_format_count (a, documents), wb_plural (documents), wb_format_count (b, chars), (long long) s->len,
             wb_plural (s->len), wb_format_bytes (c, (double) bytes), wb_format_seconds (d, seconds),
             (double) f->bytes / seconds * 1e-6);
    print_example (o, s);
}

/* ---- one after the other ----------------------------------------------------------------------------------------- */

typedef struct build {
    wb_corpus_files_t files;
    wb_parts_t parts;
    wb_shards_t shards;
    unsigned char *state;
    int64_t *first;
    uint64_t *lines;
    int64_t nlines;
} build_t;

static wb_status make_parts (build_t *b, wb_comm_t *world, const wb_corpus_options_t *o, int threads) {
    int64_t done = 0;
    WB_TRY (wb_parts_plan (&b->parts, world, o, &b->files));
    for (int64_t i = 0; i < b->parts.len; i++) done += b->parts.data[i].done;
    if (done > 0) wb_info ("%lld of %lld parts are there from before", (long long) done, (long long) b->parts.len);
    return wb_parts_make (&b->parts, world, o, &b->files, threads);
}

static wb_status finish (build_t *b, wb_comm_t *world, const wb_corpus_options_t *o, const char *text, int threads) {
    const bool root = wb_comm_rank (world) == 0;
    const size_t n = (size_t) b->parts.documents + 1;
    b->state = wb_malloc (n);
    b->first = wb_malloc (n * sizeof *b->first);
    WB_TRY (wb_agree (world, b->state != NULL && b->first != NULL ? WB_OK : WB_NOMEM ("%zu documents", n)));
    WB_TRY (wb_duplicates_find (b->state, b->first, world, &b->parts, o));
    WB_TRY (wb_site_lines_find (&b->lines, &b->nlines, world, &b->parts, o, b->state));
    WB_TRY (wb_agree (world, root ? clear (o->dir) : WB_OK));
    WB_TRY (wb_shards_write (&b->shards, world, &b->parts, o, b->state, b->lines, b->nlines, threads));
    return wb_agree (world,
                     root ? wb_manifest_write (o, text, &b->files, &b->parts, &b->shards, b->state, b->first) : WB_OK);
}

static wb_status build (build_t *b, wb_comm_t *world, const wb_corpus_options_t *o, const char *text, bool force) {
    const bool root = wb_comm_rank (world) == 0;
    const double start = wb_now ();
    bool same = false;
    int threads;
    WB_TRY (check (o));
    WB_TRY (wb_comm_threads (&threads, world, o->threads));
    WB_TRY (wb_corpus_files_find (&b->files, world, o));
    WB_TRY (wb_agree (world, root ? look (o, text, &b->files, &same, force) : WB_OK));
    wb_comm_bcast (world, &same, sizeof same, 0);
    if (same) {
        wb_info ("%s is done: nothing has changed since", o->dir);
        return WB_OK;
    }
    WB_TRY (make_parts (b, world, o, threads));
    WB_TRY (finish (b, world, o, text, threads));
    if (root) print (o, &b->shards, &b->files, wb_now () - start);
    if (!root || o->keep_work) return WB_OK;
    char *work = wb_format ("%s/.work", o->dir);
    const wb_status status = work != NULL ? wb_dir_remove (work) : WB_NOMEM ("%s", o->dir);
    wb_free (work);
    return status;
}

wb_status wb_corpus_build (wb_comm_t *world, const wb_corpus_options_t *o, const char *text, bool force) {
    build_t b = {0};
    const wb_status status = wb_agree (world, build (&b, world, o, text, force));
    wb_parts_fini (&b.parts);
    wb_corpus_files_fini (&b.files);
    wb_free (b.shards.data);
    wb_free (b.state);
    wb_free (b.first);
    wb_free (b.lines);
    return status;
}
