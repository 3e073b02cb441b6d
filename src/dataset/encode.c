/* Encoding: text to one token file, by any number of ranks and threads.
 *
 * The inputs, one after the other, are a line of bytes.  It is cut into `ranks` equal parts; rank r takes the documents
 * that start in part r.  What the ranks write is joined in order, so the file is the same, byte for byte, on any number
 * of ranks and threads.  A .txt file is one document; .jsonl files are cut between lines.
 *
 * Within a rank a team of threads takes units in order, a file or a megabyte of one, reads and encodes them, and
 * delivers them in order to the writer.  A long text is cut at line ends, between threads but not between ranks, unless
 * the vocabulary has words that lie across line ends: then one thread encodes it whole.  Memory: a few megabytes a
 * thread, whatever the inputs, except for such a text and for a long line of a .jsonl file.
 *
 * Not done here: finding documents in other formats, cleaning beyond the tokenizer's own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dataset/dataset_priv.h"
#include "wabun/launch.h"
#include "dataset/inputs.h"
#include "dataset/jsonl.h"

#define UNIT ((int64_t) 1 << 20) /* bytes that a thread encodes at a time; units are twice as many as threads */
#define MAX_WARNINGS 3

/* What a thread encodes at a time: a text or a piece of one, or the lines that begin in a part of a file. */
typedef struct unit {
    const wb_input_t *in;
    int64_t from, to; /* bytes of the file */
    bool last;        /* of a text */
    wb_buf_t stream;  /* the bytes, of a stream: it is read when the unit is taken */
    /* results */
    wb_ids_t ids;
    wb_buf_t lengths;             /* int64 ids of each line with text */
    int64_t text, skipped, stray; /* bytes of text; lines without any; bytes that are not UTF-8 */
    int64_t bad_at;               /* byte of the file in the line that cannot be read, -1: none */
    wb_jsonl_complaint_t complaint;
} unit_t;

typedef struct job {
    const wb_tokenizer_t *tokenizer;
    bool clean;
    wb_tokens_writer_t *writer;
    const wb_inputs_t *inputs;
    bool root;           /* streams are read here */
    int64_t first, last; /* this rank's part of the line of inputs */
    /* taking */
    int64_t input, at;
    int fd;        /* of the stream that is being read, -1: none */
    wb_buf_t rest; /* its bytes after the last line end */
    /* delivering */
    int64_t read;                  /* bytes, for the progress line */
    int64_t documents, text, skip; /* written; bytes of text; documents without text */
    int64_t open_text, open_stray; /* of the text whose end has not been written */
    int garbled;                   /* files reported as not UTF-8 */
    double started;
} job_t;

/* ---- taking ----------------------------------------------------------------------------------------------------- */

/* Append up to n bytes; fewer: the file ends. */
static wb_status read_more (wb_buf_t *b, int fd, size_t n, const char *path) {
    size_t got;
    WB_TRY (wb_buf_reserve (b, n));
    const int error = wb_fd_read (fd, b->data + b->len, &got, n, -1);
    b->len += got;
    return error == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
}

/* The next bytes of a stream, up to a line end where the tokenizer allows it. */
static wb_status take_stream (job_t *j, unit_t *u) {
    const bool cut = wb_tokenizer_by_lines (j->tokenizer), begins = j->at == 0;
    if (j->fd < 0) j->fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
    if (j->fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
    wb_buf_t *b = &u->stream;
    wb_buf_clear (b);
    WB_TRY (wb_buf_put (b, j->rest.data, j->rest.len)); /* there is no line end in the rest */
    size_t whole = 0;
    for (u->last = false; whole == 0 && !u->last;) {
        const size_t before = b->len;
        WB_TRY (read_more (b, j->fd, (size_t) UNIT, u->in->path));
        u->last = b->len - before < (size_t) UNIT;
        const char *end = cut && !u->last ? memrchr (b->data + before, '\n', b->len - before) : NULL;
        if (end != NULL) whole = (size_t) (end - b->data) + 1;
    }
    if (u->last) whole = b->len;
    wb_buf_clear (&j->rest);
    WB_TRY (wb_buf_put (&j->rest, b->data + whole, b->len - whole));
    b->len = whole;
    j->at += (int64_t) whole;
    const size_t mark = begins ? wb_bom (b->data, b->len) : 0;
    if (mark > 0) memmove (b->data, b->data + mark, b->len -= mark);
    return WB_OK;
}

/* wb_team_ops_t: the next unit of this rank's part. */
static wb_status take_unit (void *ctx, void *unit, bool *more) {
    job_t *j = ctx;
    unit_t *u = unit;
    for (; j->input < j->inputs->len; j->input++) {
        const wb_input_t *in = &j->inputs->data[j->input];
        int64_t from = j->at, end = in->bytes;
        bool mine = in->kind == WB_INPUT_STREAM ? j->root : in->start >= j->first && in->start < j->last;
        if (in->kind == WB_INPUT_LINES) {
            mine = in->start < j->last && in->start + in->bytes > j->first;
            if (from < j->first - in->start) from = j->first - in->start;
            if (end > j->last - in->start) end = j->last - in->start;
        }
        if (!mine) continue;
        const bool cut = in->kind == WB_INPUT_LINES || wb_tokenizer_by_lines (j->tokenizer);
        u->in = in;
        u->from = from;
        u->to = cut && end - from > UNIT + UNIT / 2 ? from + UNIT : end;
        u->last = u->to == end;
        u->text = u->skipped = u->stray = 0;
        u->bad_at = -1;
        wb_ids_clear (&u->ids);
        wb_buf_clear (&u->lengths);
        if (in->kind == WB_INPUT_STREAM) {
            WB_TRY (take_stream (j, u));
            if (u->last) close (j->fd);
            if (u->last) j->fd = -1;
        } else
            j->at = u->to;
        if (u->last) j->input++, j->at = 0;
        return WB_OK;
    }
    *more = false;
    return WB_OK;
}

/* ---- working ---------------------------------------------------------------------------------------------------- */

/* The lines that begin in the unit's part: they are b->data[*start .. b->len), and *at is where that is in the file. A
 * line begins at byte 0 and after every line end, so the parts of a file together give the whole file. */
static wb_status read_lines (wb_buf_t *b, size_t *start, int64_t *at, const unit_t *u, int fd) {
    enum { MORE = 1 << 16 };
    const int64_t from = u->from > 0 ? u->from - 1 : 0;
    const size_t n = (size_t) (u->to - from);
    *start = b->len = 0;
    if (from > 0 && lseek (fd, (off_t) from, SEEK_SET) < 0)
        return WB_FAIL (WB_EIO, "%s: cannot read: %s", u->in->path, strerror (errno));
    WB_TRY (read_more (b, fd, n, u->in->path));
    if (u->from > 0) {
        const char *end = memchr (b->data, '\n', b->len);
        *start = end != NULL ? (size_t) (end - b->data) + 1 : b->len;
        if (*start >= n) *start = b->len = 0;
    }
    while (b->len > 0 && b->data[b->len - 1] != '\n') { /* the last line goes on after the part */
        const size_t before = b->len;
        WB_TRY (read_more (b, fd, MORE, u->in->path));
        if (b->len == before) break;
        const char *end = memchr (b->data + before, '\n', b->len - before);
        if (end != NULL) b->len = (size_t) (end - b->data) + 1;
    }
    *at = from + (int64_t) *start;
    if (*at == 0) *start = wb_bom (b->data, b->len);
    return WB_OK;
}

/* One line of a .jsonl file, at `at` in its file. */
static wb_status encode_line (const job_t *j, unit_t *u, const char *s, size_t n, int64_t at) {
    json_t *line = wb_jsonl_parse (s, n, &u->complaint);
    size_t bytes = 0;
    const char *text = line != NULL ? wb_jsonl_text (line, &bytes, &u->complaint) : NULL;
    const int64_t before = u->ids.len;
    wb_status status = WB_OK;
    if (text == NULL)
        u->bad_at = at;
    else if (bytes == 0)
        u->skipped++;
    else {
        u->text += (int64_t) bytes;
        status = wb_tokenizer_encode (j->tokenizer, &u->ids, text, bytes, j->clean);
        if (status == WB_OK) status = wb_ids_put (&u->ids, wb_tokenizer_eot (j->tokenizer));
        const int64_t ids = u->ids.len - before;
        if (status == WB_OK) status = wb_buf_put (&u->lengths, &ids, sizeof ids);
    }
    json_decref (line);
    return status;
}

/* wb_team_ops_t: read and encode.  own: the thread's buffer, kept between units. */
static wb_status encode_unit (void *ctx, void *unit, void *own) {
    const job_t *j = ctx;
    unit_t *u = unit;
    const wb_buf_t *b = u->in->kind == WB_INPUT_STREAM ? &u->stream : own;
    size_t start = 0;
    int64_t at = 0;
    if (u->in->kind != WB_INPUT_STREAM) {
        const int fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
        const wb_status status = read_lines (own, &start, &at, u, fd);
        close (fd);
        WB_TRY (status);
    }
    const char *s = b->data + start;
    const size_t n = b->len - start;
    if (u->in->kind != WB_INPUT_LINES) {
        u->text = (int64_t) n;
        u->stray = wb_text_stray (s, n);
        return n > 0 ? wb_tokenizer_encode (j->tokenizer, &u->ids, s, n, j->clean) : WB_OK;
    }
    for (size_t from = 0, next; from < n && u->bad_at < 0; from = next) { /* JSON is UTF-8, or is refused */
        const char *end = memchr (s + from, '\n', n - from);
        next = end != NULL ? (size_t) (end - s) + 1 : n;
        const size_t bytes = wb_jsonl_trim (s + from, next - from);
        if (bytes > 0) WB_TRY (encode_line (j, u, s + from, bytes, at + (int64_t) from));
    }
    return WB_OK;
}

/* ---- delivering ------------------------------------------------------------------------------------------------- */

/* Which line of a file the byte `at` is in. */
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

/* The end of a text.  A warning when more than a hundredth of it is not UTF-8, as in Shift_JIS, EUC-JP or UTF-16; a
 * stray byte is not worth one. */
static wb_status end_text (job_t *j, const unit_t *u) {
    const int32_t eot = wb_tokenizer_eot (j->tokenizer);
    const int64_t text = j->open_text, stray = j->open_stray;
    j->open_text = j->open_stray = 0;
    if (stray > text / 100 && stray > 1 && ++j->garbled <= MAX_WARNINGS)
        wb_warn (WB_NOT_UTF8 "%s", u->in->path, j->garbled == MAX_WARNINGS ? "; more such files are not reported" : "");
    if (text == 0) {
        j->skip++;
        return WB_OK;
    }
    j->documents++;
    return wb_tokens_writer_put (j->writer, &eot, 1);
}

static void show_progress (const job_t *j) {
    const double seconds = wb_now () - j->started;
    char done[32], all[32];
    if (!wb_log_is_tty () || seconds < 1.0) return;
    wb_log_progress ("encoding: %s of %s, %.1f MB/s", wb_format_bytes (done, (double) j->read),
                     wb_format_bytes (all, (double) (j->last - j->first)), (double) j->read / seconds / 1e6);
}

/* wb_team_ops_t: write it. */
static wb_status write_unit (void *ctx, void *unit) {
    job_t *j = ctx;
    const unit_t *u = unit;
    if (u->bad_at >= 0)
        return WB_FAIL (WB_EDATA, "%s:%lld: %s", u->in->path, (long long) line_number (u->in->path, u->bad_at),
                        u->complaint.text);
    j->text += u->text;
    j->skip += u->skipped;
    j->read += u->in->kind == WB_INPUT_STREAM ? u->text : u->to - u->from;
    if (u->in->kind != WB_INPUT_LINES) {
        j->open_text += u->text;
        j->open_stray += u->stray;
        WB_TRY (wb_tokens_writer_part (j->writer, u->ids.data, u->ids.len));
        if (u->last) WB_TRY (end_text (j, u));
    }
    const int32_t *ids = u->ids.data;
    for (size_t at = 0; at < u->lengths.len; at += sizeof (int64_t)) {
        int64_t n;
        memcpy (&n, u->lengths.data + at, sizeof n);
        WB_TRY (wb_tokens_writer_put (j->writer, ids, n));
        ids += n;
        j->documents++;
    }
    show_progress (j);
    return WB_OK;
}

/* ---- a rank's part ---------------------------------------------------------------------------------------------- */

static wb_status encode_part (job_t *j, int rank, int ranks, int threads) {
    static const wb_team_ops_t ops = {take_unit, encode_unit, write_unit};
    const int64_t each = j->inputs->bytes / ranks, rest = j->inputs->bytes % ranks, n = 2 * (int64_t) threads + 2;
    j->root = rank == 0;
    j->first = each * rank + (rank < rest ? rank : rest);
    j->last = j->first + each + (rank < rest);
    j->fd = -1;
    wb_team_t *team;
    unit_t *units = wb_calloc ((size_t) n, sizeof *units);
    if (units == NULL) return WB_NOMEM ("%lld units of work", (long long) n);
    wb_status status = wb_team_new (&team, &ops, j, units, n, sizeof *units);
    if (status == WB_OK) {
#pragma omp parallel num_threads(threads)
        {
            wb_buf_t own = {0};
            wb_team_work (team, &own);
            wb_buf_fini (&own);
        }
        status = wb_team_end (team);
    }
    if (j->fd >= 0) close (j->fd); /* left open by a failure */
    wb_buf_fini (&j->rest);
    for (int64_t i = 0; i < n; i++) {
        wb_buf_fini (&units[i].stream);
        wb_ids_fini (&units[i].ids);
        wb_buf_fini (&units[i].lengths);
    }
    wb_free (units);
    wb_log_progress ("%s", "");
    return status;
}

static void remove_tokens (const char *prefix) {
    static const char *const ending[] = {"bin", "idx"};
    for (int i = 0; i < 2; i++) {
        char *path = wb_format ("%s.%s", prefix, ending[i]);
        if (path != NULL) unlink (path);
        wb_free (path);
    }
}

/* ---- all ranks -------------------------------------------------------------------------------------------------- */

static wb_status join (const char *prefix, int32_t vocab, int ranks) {
    wb_tokens_writer_t *w;
    WB_TRY (wb_tokens_writer_new (&w, prefix, vocab));
    wb_status status = WB_OK;
    for (int r = 0; r < ranks && status == WB_OK; r++) {
        char *part = wb_format ("%s.rank%d", prefix, r);
        status = part != NULL ? wb_tokens_writer_join (w, part) : WB_NOMEM ("%s", prefix);
        wb_free (part);
    }
    if (status == WB_OK) return wb_tokens_writer_end (w, NULL, NULL);
    wb_tokens_writer_cancel (w);
    return status;
}

static wb_status make_dir (const char *prefix) {
    char *dir = wb_file_dir (prefix);
    wb_status status = dir != NULL ? wb_dir_make (dir) : WB_NOMEM ("%s", prefix);
    wb_free (dir);
    return status;
}

/* This rank's part is written as PREFIX.rankR, or as PREFIX where there is one rank only. */
static wb_status write_parts (job_t *j, int64_t *tokens, wb_comm_t *world, const char *part,
                              const wb_dataset_encoding_t *e, int threads) {
    const int rank = wb_comm_rank (world), ranks = wb_comm_size (world);
    wb_threads_warn ();
    wb_status mine = wb_tokens_writer_new (&j->writer, part, wb_tokenizer_size (j->tokenizer));
    if (mine == WB_OK) mine = encode_part (j, rank, ranks, threads);
    int64_t documents = mine == WB_OK ? j->documents : 0;
    wb_comm_sum_i64 (world, &documents, 1);
    mine = wb_agree (world, mine);
    if (mine == WB_OK && documents == 0)
        mine = WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, but no document has any text", e->inputs[0],
                        e->ninputs > 1 ? " and the other inputs" : "", (long long) j->inputs->len,
                        j->inputs->len > 1 ? "s" : "");
    if (mine == WB_OK)
        mine = wb_tokens_writer_end (j->writer, NULL, tokens);
    else
        wb_tokens_writer_cancel (j->writer);
    return wb_agree (world, mine);
}

static void report (const char *prefix, const int64_t sum[4], double seconds) {
    char documents[32], tokens[32], bytes[32], skipped[32], note[80] = "", time[32];
    if (sum[3] > 0) snprintf (note, sizeof note, "; %s without text left out", wb_format_count (skipped, sum[3]));
    wb_info ("%s: %s document%s, %s tokens, %s bytes, %.3f bytes per token, %s, %.1f MB/s%s", prefix,
             wb_format_count (documents, sum[0]), sum[0] != 1 ? "s" : "", wb_format_count (tokens, sum[1]),
             wb_format_count (bytes, sum[2]), (double) sum[2] / (double) sum[1], wb_format_seconds (time, seconds),
             (double) sum[2] / seconds / 1e6, note);
}

static wb_status encode (job_t *j, wb_comm_t *world, const wb_dataset_encoding_t *e, int threads) {
    const int rank = wb_comm_rank (world), ranks = wb_comm_size (world);
    const int32_t vocab = wb_tokenizer_size (j->tokenizer);
    int64_t tokens = 0;
    WB_TRY (wb_agree (world, rank == 0 ? make_dir (e->prefix) : WB_OK));
    char *part = ranks > 1 ? wb_format ("%s.rank%d", e->prefix, rank) : wb_strdup (e->prefix);
    wb_status status = wb_agree (world, part != NULL ? WB_OK : WB_NOMEM ("%s", e->prefix));
    if (status == WB_OK) {
        status = write_parts (j, &tokens, world, part, e, threads);
        if (status == WB_OK && ranks > 1) status = wb_agree (world, rank == 0 ? join (e->prefix, vocab, ranks) : WB_OK);
        if (ranks > 1) remove_tokens (part);
    }
    wb_free (part);
    if (status != WB_OK) return status;
    int64_t sum[4] = {j->documents, tokens, j->text, j->skip};
    wb_comm_sum_i64 (world, sum, 4);
    if (rank == 0) report (e->prefix, sum, wb_now () - j->started);
    return WB_OK;
}

wb_status wb_dataset_encode (wb_comm_t *world, const wb_dataset_encoding_t *e) {
    job_t j = {.clean = e->clean, .started = wb_now ()};
    wb_inputs_t inputs = {0};
    wb_tokenizer_t *tokenizer = NULL;
    int threads;
    json_object_seed (0); /* while there is one thread */
    WB_TRY (wb_comm_threads (&threads, world, e->threads));
    wb_status status = wb_agree (world, wb_tokenizer_new (&tokenizer, e->tokenizer));
    if (status == WB_OK) status = wb_inputs_find (&inputs, world, e->inputs, e->ninputs);
    j.tokenizer = tokenizer;
    j.inputs = &inputs;
    if (status == WB_OK) status = encode (&j, world, e, threads);
    wb_inputs_fini (&inputs);
    wb_tokenizer_destroy (tokenizer);
    return status;
}
