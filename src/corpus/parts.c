/* Files to parts.
 *
 * A part is a run of files of one source with up to 32 MiB, or one file that is larger; its name is a hash of what
 * decides its content, so a part that is there need not be made again.  The parts that are not there are given to the
 * ranks, the largest first, each to the rank that has least so far.  Within a rank one thread at a time reads records,
 * all work on them, and they are written in the order in which they were read, so a part is the same whoever made it.
 *
 * A file that cannot be read is a complaint, not the end. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/build.h"
#include "wabun/json.h"

enum { PART = 32 << 20, TEXT = 16 << 20, READERS = 3 }; /* READERS: one more when they give something else */

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static wb_status put_text (wb_buf_t *b, const char *s) {
    return wb_buf_put (b, s != NULL ? s : "\1", s != NULL ? strlen (s) + 1 : 2);
}

/* What decides the content of all parts: the options, the word list; of one: its source. */
static wb_status put_options (wb_buf_t *b, const wb_corpus_options_t *o) {
    const wb_duplicates_options_t *d = &o->duplicates;
    const int64_t numbers[] = {READERS,
                               o->clean.nfkc,
                               o->clean.fold_kana,
                               o->clean.fold_ascii,
                               o->max_record,
                               d->near ? d->bands * d->rows : 0,
                               d->near ? d->ngram : 0,
                               d->lines > 0};
    WB_TRY (put_text (b, PACKAGE_VERSION));
    WB_TRY (wb_buf_put (b, numbers, sizeof numbers));
    WB_TRY (wb_buf_put (b, o->filters, WB_FILTERS_N * sizeof *o->filters));
    WB_TRY (put_text (b, o->licences));
    if (o->words == NULL) return WB_OK;
    char *words;
    size_t n;
    WB_TRY (wb_file_read (&words, &n, o->words));
    const wb_status status = wb_buf_put (b, words, n);
    wb_free (words);
    return status;
}

static wb_status put_source (wb_buf_t *b, const wb_corpus_source_t *s) {
    const int64_t numbers[] = {s->format, s->keep_ruby};
    WB_TRY (wb_buf_put (b, numbers, sizeof numbers));
    const char *const texts[] = {s->path, s->licence, s->from, s->text_field, s->id_field};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) WB_TRY (put_text (b, texts[i]));
    return WB_OK;
}

static wb_status name_part (wb_part_t *p, const wb_corpus_options_t *o, const wb_corpus_files_t *f, wb_buf_t *b,
                            size_t options) {
    b->len = options;
    WB_TRY (put_source (b, wb_corpus_source (o, p->source)));
    for (int64_t i = p->first; i < p->first + p->files; i++) {
        WB_TRY (wb_buf_put (b, &f->data[i].bytes, sizeof (int64_t)));
        WB_TRY (wb_buf_put (b, &f->data[i].mtime, sizeof (int64_t)));
        WB_TRY (put_text (b, f->data[i].path));
    }
    p->path = wb_format ("%s/.work/%016llx.part", o->dir, (unsigned long long) wb_hash64 (b->data, b->len));
    return p->path != NULL ? WB_OK : WB_NOMEM ("list of parts");
}

static wb_status cut (wb_parts_t *p, const wb_corpus_files_t *f) {
    for (int64_t i = 0; i < f->len; i++) {
        wb_part_t *last = p->len > 0 ? &p->data[p->len - 1] : NULL;
        if (last == NULL || last->source != f->data[i].source || last->bytes + f->data[i].bytes > PART) {
            if (!WB_GROW (p->data, p->cap, p->len + 1)) return WB_NOMEM ("list of parts");
            last = &p->data[p->len++];
            *last = (wb_part_t){.first = i, .source = f->data[i].source};
        }
        last->files++;
        last->bytes += f->data[i].bytes;
    }
    return WB_OK;
}

static wb_status plan (wb_parts_t *p, const wb_corpus_options_t *o, const wb_corpus_files_t *f, wb_buf_t *b) {
    WB_TRY (cut (p, f));
    WB_TRY (put_options (b, o));
    const size_t options = b->len;
    for (int64_t i = 0; i < p->len; i++) WB_TRY (name_part (&p->data[i], o, f, b, options));
    return WB_OK;
}

/* Is it there, with all of its files?  What a disk could not read, it may read today. */
static wb_status look (char *done, wb_part_t *p, int k) {
    *done = 0;
    if (!wb_file_exists (p->path)) return WB_OK;
    WB_TRY (wb_part_open (p, k));
    json_t *counts = wb_part_counts (p);
    const wb_status status = wb_json_status (counts);
    *done = json_object_get (counts, WB_UNREAD) == NULL;
    json_decref (counts);
    wb_part_close (p);
    return status;
}

wb_status wb_parts_plan (wb_parts_t *out, wb_comm_t *world, const wb_corpus_options_t *o, const wb_corpus_files_t *f) {
    wb_buf_t b = {0};
    *out = (wb_parts_t){.k = o->duplicates.near ? o->duplicates.bands * o->duplicates.rows : 0};
    wb_status status = wb_agree (world, plan (out, o, f, &b));
    wb_buf_clear (&b);
    if (status == WB_OK) status = wb_agree (world, wb_buf_reserve (&b, (size_t) out->len + 1));
    for (int64_t i = 0; i < out->len && status == WB_OK && wb_comm_rank (world) == 0; i++)
        status = look (&b.data[i], &out->data[i], out->k);
    status = wb_agree (world, status);
    if (status != WB_OK) {
        wb_buf_fini (&b);
        return status;
    }
    wb_comm_bcast (world, b.data, (size_t) out->len, 0);
    for (int64_t i = 0; i < out->len; i++) out->data[i].done = b.data[i] != 0;
    wb_buf_fini (&b);
    return WB_OK;
}

void wb_parts_fini (wb_parts_t *p) {
    for (int64_t i = 0; i < p->len; i++) {
        wb_part_close (&p->data[i]);
        wb_free (p->data[i].path);
    }
    wb_free (p->data);
    *p = (wb_parts_t){0};
}

/* ---- one part ---------------------------------------------------------------------------------------------------- */

typedef struct job {
    wb_works_t works;
    const wb_corpus_files_t *files;
    const wb_part_t *part;
    /* taking */
    wb_records_t *records;
    int64_t file; /* the next one to open */
    json_t *skipped;
    /* delivering */
    wb_part_writer_t *writer;
    json_t *counts;
    /* progress of this rank */
    int64_t all_files, all_bytes, done_files, done_bytes, seen, kept;
    double started, shown;
} job_t;

static void complain (void *ctx, const wb_complaint_t *c) {
    json_t *counts = ctx, *o = wb_counts_text (c->name, strlen (c->name), c->text, strlen (c->text));
    wb_counts_add (counts, "complaints", c->kind, 1);
    wb_counts_sample (counts, "complaint_samples", c->kind, o);
}

static void show (job_t *j) {
    char bytes[32], kept[32], left[32];
    const double now = wb_now (), seconds = now - j->started;
    if (!wb_log_is_tty () || now - j->shown < 0.2 || seconds < 0.5) return;
    const int64_t done = j->done_bytes + (j->records != NULL ? wb_records_read (j->records) : 0);
    const double rate = (double) done / seconds;
    j->shown = now;
    wb_log_progress ("corpus: %s left, %lld of %lld files, %s, %.1f MB/s, %s of %lld documents kept",
                     wb_format_seconds (left, rate > 0 ? (double) (j->all_bytes - done) / rate : 0),
                     (long long) j->done_files, (long long) j->all_files, wb_format_bytes (bytes, (double) done),
                     rate * 1e-6, wb_format_count (kept, j->kept), (long long) j->seen);
}

/* A file that cannot be read is told of and left. */
static void give_up (job_t *j, const char *path) {
    wb_complaint_t c = {.kind = "cannot be read"};
    snprintf (c.name, sizeof c.name, "%.255s", path);
    snprintf (c.text, sizeof c.text, "%.255s", wb_error_get ()->text);
    wb_error_clear ();
    complain (j->skipped, &c);
}

static void close_file (job_t *j) {
    if (j->records == NULL) return;
    wb_records_close (j->records);
    j->records = NULL;
    j->done_files++;
    j->done_bytes += j->files->data[j->file - 1].bytes;
}

/* wb_team_ops_t */
static wb_status take (void *ctx, void *unit, bool *more) {
    job_t *j = ctx;
    wb_work_t *u = unit;
    for (*more = false; !*more;) {
        const char *path = j->works.input;
        wb_status status = WB_OK;
        if (j->records == NULL) {
            if (j->file == j->part->first + j->part->files) return WB_OK;
            const wb_records_options_t o = {
                .max_bytes = j->works.o->max_record, .max_text = TEXT, .form = j->works.source->format};
            path = j->works.input = j->files->data[j->file++].path;
            status = wb_records_open (&j->records, path, &o, complain, j->skipped);
            if (status != WB_OK) j->records = NULL;
        }
        if (status == WB_OK) status = wb_records_next (j->records, &u->record, more);
        if (status == WB_ENOMEM) return status;
        if (status == WB_EIO) wb_counts_add (j->skipped, NULL, WB_UNREAD, 1);
        if (status != WB_OK) give_up (j, path);
        if (status != WB_OK || !*more) *more = false, close_file (j);
    }
    return WB_OK;
}

static wb_status work (void *ctx, void *unit, void *own) { return wb_work_record (&((job_t *) ctx)->works, own, unit); }

static wb_status deliver (void *ctx, void *unit) {
    job_t *j = ctx;
    wb_work_t *u = unit;
    wb_counts_add (j->counts, NULL, "records", 1);
    j->seen++;
    show (j);
    if (u->reason < 0) {
        if (u->complaint.kind[0] != 0) complain (j->counts, &u->complaint);
        return WB_OK;
    }
    const bool kept = u->reason == WB_KEPT;
    json_t *sample = wb_counts_text (u->id.data, u->id.len, u->text.data != NULL ? u->text.data : "", u->text.len);
    wb_counts_add (j->counts, NULL, "documents", 1);
    wb_counts_add (j->counts, NULL, "characters", (int64_t) u->measures.chars);
    wb_counts_add (j->counts, "markup", wb_form_names[u->markup], 1);
    if (u->markup != WB_FORM_TEXT)
        wb_counts_sample (j->counts, "markup_samples", wb_form_names[u->markup],
                          wb_counts_text (u->record.name.data, u->record.name.len, "", 0));
    wb_counts_length (j->counts, kept ? "kept" : "dropped", u->measures.chars);
    if (!kept) wb_counts_add (j->counts, "dropped", wb_reason_name (u->reason), 1);
    wb_counts_sample (j->counts, "samples", kept ? "kept" : wb_reason_name (u->reason), sample);
    if (!kept) return WB_OK;
    j->kept++;
    const wb_buf_t *const texts[4] = {&u->id, &u->source, &u->licence, &u->text};
    return wb_part_writer_put (j->writer, texts, u->exact, u->site, u->sign, j->works.k, u->lines, u->nlines);
}

static wb_status run_team (job_t *j, int threads) {
    static const wb_team_ops_t ops = {take, work, deliver};
    const int64_t n = 2 * (int64_t) threads + 2;
    wb_team_t *team;
    wb_work_t *units = wb_calloc ((size_t) n, sizeof *units);
    if (units == NULL) return WB_NOMEM ("%lld units of work", (long long) n);
    wb_status status = wb_team_new (&team, &ops, j, units, n, sizeof *units);
    if (status == WB_OK) {
#pragma omp parallel num_threads(threads)
        {
            wb_worker_t own = {0};
            wb_team_work (team, &own);
            wb_worker_fini (&own);
        }
        status = wb_team_end (team);
    }
    for (int64_t i = 0; i < n; i++) wb_work_fini (&units[i]);
    wb_free (units);
    return status;
}

static wb_status make (job_t *j, const wb_part_t *part, int threads) {
    const int64_t before = wb_json_lacks ();
    j->part = part;
    j->file = part->first;
    j->works.source = wb_corpus_source (j->works.o, part->source);
    j->skipped = wb_counts_new ();
    j->counts = wb_counts_new ();
    j->writer = NULL;
    wb_status status =
        j->skipped != NULL && j->counts != NULL ? wb_part_writer_new (&j->writer, part->path) : WB_NOMEM ("counts");
    wb_counts_add (j->counts, NULL, "files", part->files);
    wb_counts_add (j->counts, NULL, "bytes", part->bytes);
    if (status == WB_OK) status = run_team (j, threads);
    if (j->records != NULL) wb_records_close (j->records);
    j->records = NULL;
    wb_counts_merge (j->counts, j->skipped);
    if (status == WB_OK) status = wb_json_since (before, "counts");
    if (status == WB_OK)
        status = wb_part_writer_end (j->writer, j->counts);
    else
        wb_part_writer_cancel (j->writer);
    json_decref (j->skipped);
    json_decref (j->counts);
    return status;
}

/* ---- all parts --------------------------------------------------------------------------------------------------- */

static int by_size (const void *a, const void *b) {
    const wb_part_t *const *x = a, *const *y = b;
    if ((*x)->bytes != (*y)->bytes) return (*x)->bytes > (*y)->bytes ? -1 : 1;
    return ((*x)->first > (*y)->first) - ((*x)->first < (*y)->first);
}

/* Of list [n], largest first, keep those of this rank; returns how many. */
static int64_t share_out (const wb_part_t **list, int64_t n, int64_t *load, int ranks, int rank) {
    int64_t mine = 0;
    qsort (list, (size_t) n, sizeof *list, by_size);
    for (int64_t i = 0; i < n; i++) {
        int least = 0;
        for (int r = 1; r < ranks; r++)
            if (load[r] < load[least]) least = r;
        load[least] += list[i]->bytes + 4096;
        if (least == rank) list[mine++] = list[i];
    }
    return mine;
}

static wb_status make_mine (const wb_parts_t *p, wb_comm_t *world, job_t *j, int threads) {
    const int ranks = wb_comm_size (world);
    const wb_part_t **list = wb_calloc ((size_t) p->len + 1, sizeof *list);
    int64_t *load = wb_calloc ((size_t) ranks, sizeof *load), n = 0;
    wb_status status = list != NULL && load != NULL ? WB_OK : WB_NOMEM ("list of parts");
    for (int64_t i = 0; status == WB_OK && i < p->len; i++)
        if (!p->data[i].done) list[n++] = &p->data[i];
    if (status == WB_OK) n = share_out (list, n, load, ranks, wb_comm_rank (world));
    for (int64_t i = 0; i < n && status == WB_OK; i++) j->all_files += list[i]->files, j->all_bytes += list[i]->bytes;
    for (int64_t i = 0; i < n && status == WB_OK; i++) status = make (j, list[i], threads);
    wb_log_progress ("%s", "");
    wb_free (list);
    wb_free (load);
    return status;
}

wb_status wb_parts_make (wb_parts_t *p, wb_comm_t *world, const wb_corpus_options_t *o, const wb_corpus_files_t *f,
                         int threads) {
    job_t j = {.files = f, .started = wb_now ()};
    wb_status status = wb_works_init (&j.works, o);
    if (status == WB_OK) status = make_mine (p, world, &j, threads);
    wb_works_fini (&j.works);
    WB_TRY (wb_agree (world, status));
    for (int64_t i = 0; i < p->len && status == WB_OK; i++) {
        status = wb_part_open (&p->data[i], p->k);
        p->data[i].first_document = p->documents;
        p->documents += p->data[i].n;
    }
    return wb_agree (world, status);
}
