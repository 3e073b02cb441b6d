/* Encoding: text to one token file, by any number of ranks and threads.
 *
 * The inputs, one after the other, are a line of bytes.  It is cut into `ranks` equal parts; rank r takes the documents
 * that start in part r.  What the ranks write is joined in order, so the file is the same, byte for byte, on any number
 * of ranks and threads.
 *
 * Within a rank a team of threads takes units in order (units.c), encodes them, and delivers them in order to the
 * writer. A long text is cut at line ends, between threads but not between ranks, unless the vocabulary has words that
 * lie across line ends: then one thread encodes it whole.  Memory: a few megabytes a thread, whatever the inputs,
 * except for such a text, for a long line of JSON, and for a file that is converted to UTF-8.
 *
 * A document is for validation by its hash, so it stays there when the corpus grows.  If that leaves none for
 * validation, or there are fewer than ten documents, all is encoded again by another rule.
 *
 * Not done here: taking markup apart (corpus), cleaning beyond the tokenizer's own. */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "dataset/dataset_priv.h"
#include "dataset/encode_job.h"
#include "wabun/launch.h"

#define FEW 10 /* documents: with fewer, a text is cut for validation */

typedef wb_encode_counts_t counts_t;
typedef wb_encode_job_t job_t;

/* ---- delivering ------------------------------------------------------------------------------------------------- */

/* The number of the line of a file that begins at byte `at`, from 1. */
static int64_t line_number (const char *path, int64_t at) {
    FILE *f = fopen (path, "rb");
    if (f == NULL) return 0;
    int64_t line = 1;
    char buf[65536];
    for (size_t n; at > 0 && (n = fread (buf, 1, at < 65536 ? (size_t) at : sizeof buf, f)) > 0; at -= (int64_t) n)
        for (size_t i = 0; i < n; i++) line += buf[i] == '\n';
    fclose (f);
    return line;
}

/* A text that is not what it should be; a file is noted once. */
static void note_garbled (job_t *j, const wb_unit_t *u) {
    const char *from = j->encoder.from, *path = u->in->path, *seems = u->seems;
    if (j->named == u->in || j->garbled.n++ >= WB_NOTES) return;
    j->named = u->in;
    char *to = j->garbled.text[j->garbled.n - 1];
    const size_t size = sizeof j->garbled.text[0];
    if (u->mistaken)
        snprintf (to, size, "%.300s is %s, not %s: leave out --from, or give --from %s", path, seems, from, seems);
    else if (from != NULL)
        snprintf (to, size, "%.300s is not %s: %s", path, from,
                  u->whole ? "what cannot be converted becomes U+FFFD" : "what it holds becomes bytes, not words");
    else if (seems[0] != 0)
        snprintf (to, size, "%.300s is not UTF-8: what it holds becomes bytes, not words; it seems to be %s: --from %s",
                  path, seems, seems);
    else
        snprintf (to, size,
                  "%.300s is not UTF-8: what it holds becomes bytes, not words; if you know its encoding: --from NAME",
                  path);
}

static wb_status note_bad (job_t *j, const wb_unit_t *u) {
    if (u->bad == 0) return WB_OK;
    int64_t first = u->start_line + 1;
    if (u->start >= 0 && j->bad.n < WB_NOTES) first = line_number (u->in->path, u->start);
    for (int i = 0; i < u->bad && i < WB_NOTES; i++) {
        const wb_bad_line_t *b = &u->bad_lines[i];
        const long long line = first + b->line;
        if (j->e->bad_lines == WB_BAD_LINES_STOP)
            return WB_FAIL (WB_EDATA, "%s:%lld: %s", u->in->path, line, b->complaint.text);
        if (j->bad.n + i < WB_NOTES)
            snprintf (j->bad.text[j->bad.n + i], sizeof j->bad.text[0], "%.300s:%lld: %s", u->in->path, line,
                      b->complaint.text);
    }
    j->bad.n += u->bad;
    j->count.lines += u->bad;
    return WB_OK;
}

/* What a unit of records says. */
static wb_status note_records (job_t *j, const wb_unit_t *u) {
    if (u->bad_records.n > 0 && j->e->bad_lines == WB_BAD_LINES_STOP)
        return WB_FAIL (WB_EDATA, "%s", u->bad_records.text[0]);
    wb_notes_add (&j->bad, &u->bad_records);
    wb_notes_add (&j->left, &u->left);
    wb_notes_add (&j->garbled, &u->garbled);
    j->count.garbled += u->garbled.n;
    j->count.garbled_bytes += u->garbled_bytes;
    j->count.lines += u->json;
    for (int f = 0; f < WB_FORMS; f++) j->count.markup[f] += u->markup[f];
    return WB_OK;
}

static void judge_text (job_t *j, const wb_unit_t *u, int64_t text, int64_t stray) {
    if (!wb_text_garbled (stray, text) && !(u->mistaken && text > 0)) return;
    const int64_t raw = u->whole ? u->to - u->from : 0; /* what is converted by mistake becomes longer */
    j->count.garbled++;
    j->count.garbled_bytes += raw > 0 && raw < text ? raw : text;
    note_garbled (j, u);
}

/* The end of a document that may have come in pieces. */
static wb_status end_text (job_t *j, const wb_unit_t *u, bool marked) {
    const int32_t eot = wb_tokenizer_eot (j->encoder.tokenizer);
    const int64_t text = j->open_text, stray = j->open_stray;
    j->open_text = j->open_stray = 0;
    judge_text (j, u, text, stray);
    if (text == 0) {
        j->count.skipped += !marked && (!u->cut || u->side == 0);
        return WB_OK;
    }
    j->count.documents[j->open_side]++;
    return wb_tokens_writer_put (j->writer[j->open_side], &eot, 1);
}

/* The documents of a text, or of a piece of one. */
static wb_status write_text (job_t *j, const wb_unit_t *u) {
    const int32_t *ids = u->ids.data;
    for (size_t at = 0; at < u->parts.len; at += sizeof (wb_text_part_t)) {
        wb_text_part_t p;
        memcpy (&p, u->parts.data + at, sizeof p);
        if (p.begins) j->open_side = p.side;
        j->open_text += p.bytes;
        j->open_stray += p.stray;
        j->count.bytes[j->open_side] += p.bytes;
        j->count.marks += p.ends && p.marked;
        WB_TRY (wb_tokens_writer_part (j->writer[j->open_side], ids, p.ids));
        ids += p.ids;
        if (p.ends) WB_TRY (end_text (j, u, p.marked));
    }
    return WB_OK;
}

static wb_status write_documents (job_t *j, const wb_unit_t *u) {
    const int32_t *ids = u->ids.data;
    for (size_t at = 0; at < u->documents.len; at += sizeof (wb_encoded_t)) {
        wb_encoded_t d;
        memcpy (&d, u->documents.data + at, sizeof d);
        WB_TRY (wb_tokens_writer_put (j->writer[d.side], ids, d.ids));
        for (int64_t i = 0; i < d.ids; i++) j->count.learned[d.side] += ids[i] >= 0;
        ids += d.ids;
        j->count.documents[d.side]++;
        j->count.bytes[d.side] += d.bytes;
        j->count.lines += u->lines;
        if (u->lines && u->mistaken) j->count.garbled_bytes += d.bytes;
    }
    j->count.skipped += u->skipped;
    if (u->lines) j->count.lines += u->skipped;
    return WB_OK;
}

static void show_progress (const job_t *j) {
    const double seconds = wb_now () - j->started;
    char done[32], all[32];
    if (!wb_log_is_tty () || seconds < 1.0) return;
    wb_log_progress ("encoding: %s of %s, %.1f MB/s", wb_format_bytes (done, (double) j->read),
                     wb_format_bytes (all, (double) (j->encoder.last - j->encoder.first)),
                     (double) j->read / seconds / 1e6);
}

/* wb_team_ops_t: write it. */
static wb_status write_unit (void *ctx, void *unit) {
    job_t *j = ctx;
    const wb_unit_t *u = unit;
    WB_TRY (note_bad (j, u));
    j->read += u->in->kind == WB_INPUT_STREAM && !u->records ? (int64_t) u->stream.len : u->to - u->from;
    if (u->converted != WB_CHARSET_UTF8 && !u->mistaken && !wb_text_garbled (u->stray, u->text))
        j->count.converted[u->converted]++;
    if (u->hash < j->hash) j->hash = u->hash;
    if (u->records) WB_TRY (note_records (j, u));
    for (int f = 0; f < WB_FORMS; f++) j->count.line_markup[f] += u->line_markup[f];
    if (u->whole && !u->lines) judge_text (j, u, u->text, u->stray);
    if (!u->lines && !u->records && !u->whole) WB_TRY (write_text (j, u));
    j->count.marks += u->marks;
    j->count.words += u->words;
    if (u->lines && u->mistaken) {
        j->count.garbled += (int64_t) (u->documents.len / sizeof (wb_encoded_t));
        note_garbled (j, u);
    }
    if (u->lines || u->records || u->whole) WB_TRY (write_documents (j, u));
    show_progress (j);
    return WB_OK;
}

static wb_status take_unit (void *ctx, void *unit, bool *more) {
    return wb_encoder_take (&((job_t *) ctx)->encoder, unit, more);
}
static wb_status work_unit (void *ctx, void *unit, void *own) {
    return wb_encoder_work (&((job_t *) ctx)->encoder, unit, own);
}

/* ---- a rank's part ---------------------------------------------------------------------------------------------- */

static wb_status encode_part (job_t *j, int rank, int ranks, int threads) {
    static const wb_team_ops_t ops = {take_unit, work_unit, write_unit};
    wb_encoder_t *r = &j->encoder;
    const int64_t each = r->inputs->bytes / ranks, rest = r->inputs->bytes % ranks, n = 2 * (int64_t) threads + 2;
    r->root = rank == 0;
    r->first = each * rank + (rank < rest ? rank : rest);
    r->last = r->first + each + (rank < rest);
    r->fd = -1;
    wb_team_t *team;
    wb_unit_t *units = wb_calloc ((size_t) n, sizeof *units);
    if (units == NULL) return WB_NOMEM ("%lld units of work", (long long) n);
    wb_status status = wb_team_new (&team, &ops, j, units, n, sizeof *units);
    if (status == WB_OK) {
#pragma omp parallel num_threads(threads)
        {
            wb_encoder_own_t own = {0};
            wb_team_work (team, &own);
            wb_encoder_own_fini (&own);
        }
        status = wb_team_end (team);
    }
    wb_encoder_fini (r);
    for (int64_t i = 0; i < n; i++) wb_unit_fini (&units[i]);
    wb_free (units);
    wb_log_progress ("%s", "");
    return status;
}

/* ---- all ranks -------------------------------------------------------------------------------------------------- */

static wb_status make_dir (const char *prefix) {
    char *dir = wb_file_dir (prefix);
    wb_status status = dir != NULL ? wb_dir_make (dir) : WB_NOMEM ("%s", prefix);
    wb_free (dir);
    return status;
}

static wb_status open_writers (job_t *j, int rank) {
    for (int side = 0; side < (j->e->validation > 0 ? 2 : 1); side++) {
        char *name = wb_encoded_name (j->e->prefix, side, rank);
        const wb_status status =
            name != NULL ? wb_tokens_writer_new (&j->writer[side], name, wb_tokenizer_size (j->encoder.tokenizer))
                         : WB_NOMEM ("%s", j->e->prefix);
        wb_free (name);
        WB_TRY (status);
        if (j->e->answers) WB_TRY (wb_tokens_writer_mask (j->writer[side]));
        if (rank < 0) wb_tokens_writer_tokenizer (j->writer[side], j->encoder.tokenizer, j->command.data);
    }
    return WB_OK;
}

static void cancel_writers (job_t *j) {
    for (int side = 0; side < 2; side++) {
        wb_tokens_writer_cancel (j->writer[side]);
        j->writer[side] = NULL;
    }
}

/* Encode all inputs once; afterwards the counts are those of all ranks.  part: the rank, -1 where there is only one. */
static wb_status encode_once (job_t *j, wb_comm_t *world, int part, int threads) {
    memset (&j->count, 0, sizeof j->count);
    j->named = NULL;
    j->garbled.n = j->bad.n = j->left.n = j->read = j->open_text = j->open_stray = 0;
    j->encoder.input = j->encoder.at = 0;
    j->hash = UINT64_MAX;
    wb_status status = open_writers (j, part);
    if (status == WB_OK) status = encode_part (j, wb_comm_rank (world), wb_comm_size (world), threads);
    WB_TRY (wb_agree (world, status));
    int64_t hash = (int64_t) (~j->hash >> 1);
    wb_comm_sum_i64 (world, (int64_t *) (void *) &j->count, (int) (sizeof j->count / sizeof (int64_t)));
    wb_comm_max_i64 (world, &hash, 1);
    j->hash = ~((uint64_t) hash << 1);
    WB_TRY (wb_notes_gather (&j->garbled, world));
    WB_TRY (wb_notes_gather (&j->left, world));
    return wb_notes_gather (&j->bad, world);
}

/* Encode, a second time where the hashes leave nothing for validation or there are few documents. */
static wb_status encode_sides (job_t *j, wb_comm_t *world, int part, int threads) {
    const double share = j->e->validation;
    const int64_t *n = j->count.documents;
    j->encoder.limit = (uint64_t) (share * 18446744073709549568.0); /* of 2^64 */
    WB_TRY (encode_once (j, world, part, threads));
    if (j->encoder.cut && j->count.marks >= FEW) { /* there are more documents than texts */
        j->encoder.cut = false;
        cancel_writers (j);
        WB_TRY (encode_once (j, world, part, threads));
    }
    const int64_t documents = n[0] + n[1];
    if (share > 0 && documents > 0 && !j->encoder.cut && (documents < FEW || n[1] == 0)) {
        j->encoder.cut = documents < FEW;
        j->encoder.limit = j->hash;
        cancel_writers (j);
        WB_TRY (encode_once (j, world, part, threads));
    }
    WB_TRY (wb_agree (world, wb_encode_judge (j)));
    if (share > 0 && (n[0] == 0 || n[1] == 0))
        return WB_FAIL (WB_EDATA, "nothing was left for %s: give more documents, or text with line ends",
                        n[1] == 0 ? "validation" : "training");
    return WB_OK;
}

/* The files of validation first: where the others are, all is. */
static wb_status finish (job_t *j, wb_comm_t *world, int part) {
    wb_status status = WB_OK;
    for (int side = 1; side >= 0; side--) {
        wb_tokens_writer_t *w = j->writer[side];
        j->writer[side] = NULL;
        if (w == NULL) continue;
        if (status == WB_OK)
            status = wb_tokens_writer_end (w, NULL, &j->count.tokens[side]);
        else
            wb_tokens_writer_cancel (w);
    }
    WB_TRY (wb_agree (world, status));
    wb_comm_sum_i64 (world, j->count.tokens, 2);
    if (part < 0) return WB_OK;
    for (int side = j->e->validation > 0; side >= 0 && part == 0 && status == WB_OK; side--) {
        char *name = wb_encoded_name (j->e->prefix, side, -1);
        status = name != NULL ? wb_encoded_join (name, j->encoder.tokenizer, j->command.data, j->e->answers,
                                                 wb_comm_size (world))
                              : WB_NOMEM ("%s", j->e->prefix);
        wb_free (name);
    }
    return wb_agree (world, status);
}

/* A rank's part is written as PREFIX.rankR, or as PREFIX where there is one rank only. */
static wb_status encode (job_t *j, wb_comm_t *world, int threads) {
    const int rank = wb_comm_rank (world), part = wb_comm_size (world) > 1 ? rank : -1;
    wb_encoded_parts_t parts;
    WB_TRY (wb_agree (world, rank == 0 ? make_dir (j->e->prefix) : WB_OK));
    if (rank == 0) wb_temp_sweep (j->e->prefix);
    wb_threads_warn ();
    wb_status status = wb_agree (world, wb_encoded_parts_init (&parts, j->e->prefix, part));
    if (status == WB_OK) status = encode_sides (j, world, part, threads);
    if (status == WB_OK) status = finish (j, world, part);
    cancel_writers (j);
    wb_encoded_parts_fini (&parts);
    for (int side = 0; side < 2 && status == WB_OK && rank == 0; side++) {
        char *name = wb_encoded_name (j->e->prefix, side, -1);
        if (name != NULL && (side == 0 || j->e->validation > 0)) wb_encode_tell (j, side, name);
        wb_free (name);
    }
    if (status == WB_OK && rank == 0) wb_encode_warn_share (j);
    if (status == WB_OK && rank == 0 && j->e->validation == 0) wb_encode_warn_stale (j->e->prefix);
    return status;
}

/* What the inputs say of validation; the same on every rank. */
static wb_status plan_validation (job_t *j) {
    const wb_inputs_t *l = j->encoder.inputs;
    int64_t texts = 0;
    bool few = true;
    for (int64_t i = 0; i < l->len && j->e->validation > 0; i++) {
        if (l->data[i].kind == WB_INPUT_STREAM)
            return WB_FAIL (WB_EUSAGE, "--validation reads files, not pipes: some are read twice");
        few = few && l->data[i].kind == WB_INPUT_TEXT;
        texts += l->data[i].bytes > 0;
    }
    j->encoder.cut = j->e->validation > 0 && few && texts < FEW;
    return WB_OK;
}

wb_status wb_dataset_encode (wb_comm_t *world, const wb_dataset_encoding_t *e) {
    wb_inputs_t inputs = {0};
    wb_tokenizer_t *tokenizer = NULL;
    int threads;
    json_object_seed (0); /* while there is one thread */
    WB_TRY (wb_comm_threads (&threads, world, e->threads));
    job_t *j = wb_calloc (1, sizeof *j);
    wb_status status = j != NULL ? WB_OK : WB_NOMEM ("the job");
    if (status == WB_OK) {
        *j = (job_t){.e = e, .started = wb_now (), .encoder = {.e = e, .inputs = &inputs}};
        if (e->from != NULL && strcasecmp (e->from, "auto") != 0) status = wb_charset_find (&j->encoder.from, e->from);
    }
    if (status == WB_OK) status = wb_tokenizer_new (&tokenizer, e->tokenizer);
    if (status == WB_OK) status = wb_encoded_command (&j->command, e);
    if (status == WB_OK && wb_comm_rank (world) == 0) status = wb_encoded_check (e, j->command.data);
    status = wb_agree (world, status);
    if (status == WB_OK) {
        j->encoder.tokenizer = tokenizer;
        status = wb_inputs_find (&inputs, world, e->inputs, e->ninputs, e->field, j->encoder.from);
    }
    if (status == WB_OK) status = wb_agree (world, plan_validation (j));
    if (status == WB_OK) status = encode (j, world, threads);
    wb_inputs_fini (&inputs);
    wb_tokenizer_destroy (tokenizer);
    if (j != NULL) wb_buf_fini (&j->command);
    wb_free (j);
    return status;
}
