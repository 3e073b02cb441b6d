/* wabun encode: text to token files, or line by line for other programs.
 *
 * The list of inputs is a number line of bytes: every document has a place on it, and rank r of P takes those that
 * begin in its P-th part.  Parts are joined in order, so the file is the same, byte for byte, on any number of ranks
 * and threads.  A .txt file is one document; .jsonl files are cut between lines.
 *
 * Documents are read in batches of bounded size, encoded by a team of threads and written in order.  A document alone
 * is held in memory whole, and encoded by one thread.
 *
 * Not done here: finding documents in other formats and cleaning beyond the tokenizer's own (wabun corpus). */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "wabun/text.h"

#define BATCH_BYTES ((size_t) 16 << 20)
#define BATCH_DOCS 32768
#define MOST_WARNINGS 3
#define NO_MEMORY(what) WB_FAIL (WB_ENOMEM, "%s: out of memory", (what))

/* ---- the list of inputs ---------------------------------------------------------------------------------------- */

typedef enum { TEXT, LINES, STREAM } kind_t; /* a stream has no size: the standard input, a pipe */

typedef struct input {
    char *path;
    kind_t kind;
    int64_t size, start; /* bytes, place on the line of all inputs */
} input_t;

typedef struct list {
    input_t *item;
    int64_t n, cap, bytes;
    int64_t others; /* files in directories that were left out */
} list_t;

static void list_fini (list_t *l) {
    for (int64_t i = 0; i < l->n; i++) wb_free (l->item[i].path);
    wb_free (l->item);
}

static wb_status list_put (list_t *l, const char *path, kind_t kind, int64_t size) {
    if (l->n == l->cap) {
        int64_t cap = l->cap > 0 ? 2 * l->cap : 64;
        input_t *p = wb_realloc (l->item, (size_t) cap * sizeof *p);
        if (p == NULL) return NO_MEMORY ("list of inputs");
        l->item = p;
        l->cap = cap;
    }
    char *name = wb_strdup (path);
    if (name == NULL) return NO_MEMORY ("list of inputs");
    l->item[l->n++] = (input_t){name, kind, size, l->bytes};
    l->bytes += size;
    return WB_OK;
}

static bool ends (const char *s, const char *with) {
    size_t n = strlen (s), k = strlen (with);
    return n >= k && strcmp (s + n - k, with) == 0;
}

static int by_name (const void *a, const void *b) { return strcmp (*(char *const *) a, *(char *const *) b); }

static wb_status list_path (list_t *l, const char *path, bool named);

static wb_status list_dir (list_t *l, const char *path) {
    DIR *dir = opendir (path);
    if (dir == NULL) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    char **names = NULL;
    size_t n = 0, cap = 0;
    wb_status status = WB_OK;
    for (struct dirent *e; status == WB_OK && (e = readdir (dir)) != NULL;) {
        if (strcmp (e->d_name, ".") == 0 || strcmp (e->d_name, "..") == 0) continue;
        if (n == cap) {
            char **p = wb_realloc (names, (cap = cap > 0 ? 2 * cap : 64) * sizeof *p);
            if (p == NULL) {
                status = NO_MEMORY ("list of inputs");
                break;
            }
            names = p;
        }
        names[n] = wb_format ("%s%s%s", path, ends (path, "/") ? "" : "/", e->d_name);
        if (names[n] == NULL)
            status = NO_MEMORY ("list of inputs");
        else
            n++;
    }
    closedir (dir);
    if (n > 0) qsort (names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        if (status == WB_OK) status = list_path (l, names[i], false);
        wb_free (names[i]);
    }
    wb_free (names);
    return status;
}

/* `named`: the user gave this very path. */
static wb_status list_path (list_t *l, const char *path, bool named) {
    static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst", ".zip"};
    struct stat st;
    if (named && strcmp (path, "-") == 0) return list_put (l, "/dev/stdin", STREAM, 0);
    if (!named && (lstat (path, &st) != 0 || S_ISLNK (st.st_mode)) && wb_file_is_dir (path))
        return WB_OK; /* a linked directory may lead in a circle */
    if (stat (path, &st) != 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    if (S_ISDIR (st.st_mode)) return list_dir (l, path);
    if (named && !S_ISREG (st.st_mode)) return list_put (l, path, STREAM, 0);
    if (ends (path, ".jsonl")) return list_put (l, path, LINES, (int64_t) st.st_size);
    if (ends (path, ".txt")) return list_put (l, path, TEXT, (int64_t) st.st_size);
    if (!named) {
        l->others++;
        return WB_OK;
    }
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (ends (path, packed[i]))
            return WB_FAIL (WB_EUSAGE, "%s: compressed files are not read; unpack it first", path);
    return list_put (l, path, TEXT, (int64_t) st.st_size);
}

static wb_status list_make (list_t *l, char **paths, int n, const char *prefix, int ranks) {
    bool stream = false;
    for (int i = 0; i < n; i++) {
        const int64_t before = l->n;
        WB_TRY (list_path (l, paths[i], true));
        const bool is_stream = l->n > before && l->item[before].kind == STREAM;
        if (is_stream && i > 0 && ranks > 1)
            return WB_FAIL (WB_EUSAGE, "on several ranks %s, a pipe, must be the first INPUT", paths[i]);
        stream = stream || is_stream;
    }
    const char *more = n > 1 ? " and the other inputs" : "";
    if (l->n == 0 && l->others == 0) return WB_FAIL (WB_EDATA, "no text in %s%s: no file is there", paths[0], more);
    if (l->n == 0)
        return WB_FAIL (WB_EDATA, "no text in %s%s: none of the %lld files there ends in .txt or .jsonl", paths[0],
                        more, (long long) l->others);
    if (l->bytes == 0 && !stream)
        return WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, all empty", paths[0], more, (long long) l->n,
                        l->n > 1 ? "s" : "");
    const char *slash = strrchr (prefix, '/');
    if (slash == NULL || slash == prefix) return WB_OK;
    char *dir = wb_strndup (prefix, (size_t) (slash - prefix));
    if (dir == NULL) return NO_MEMORY (prefix);
    wb_status status = wb_dir_make (dir);
    wb_free (dir);
    return status;
}

/* Rank 0's list on all ranks, so that nobody works from another view of the file system.  Collective over world. */
static wb_status list_share (list_t *l, wb_comm_t *world) {
    const bool root = wb_comm_rank (world) == 0;
    wb_buf_t b = {0};
    wb_status status = WB_OK;
    for (int64_t i = 0; root && i < l->n && status == WB_OK; i++) {
        int64_t head[2] = {l->item[i].kind, l->item[i].size};
        status = wb_buf_put (&b, head, sizeof head);
        if (status == WB_OK) status = wb_buf_put (&b, l->item[i].path, strlen (l->item[i].path) + 1);
    }
    status = wb_agree (world, status);
    uint64_t bytes = b.len;
    if (status == WB_OK) {
        wb_comm_bcast (world, &bytes, sizeof bytes, 0);
        char *all = root ? b.data : wb_malloc (bytes + 1);
        status = wb_agree (world, all != NULL ? WB_OK : NO_MEMORY ("list of inputs"));
        if (status == WB_OK) {
            wb_comm_bcast (world, all, bytes, 0);
            for (size_t at = 0; !root && at < bytes && status == WB_OK;) {
                int64_t head[2];
                memcpy (head, all + at, sizeof head);
                at += sizeof head;
                status = list_put (l, all + at, (kind_t) head[0], head[1]);
                at += strlen (all + at) + 1;
            }
            status = wb_agree (world, status);
        }
        if (!root) wb_free (all);
    }
    wb_buf_fini (&b);
    return status;
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

typedef struct doc {
    char *data; /* owned: a text, or a line of a .jsonl */
    size_t n;
    const input_t *from;
    int64_t at; /* of the line, in its file */
    wb_ids_t ids;
    int64_t bytes; /* of text; 0: nothing to write */
    bool garbled;  /* much of it is not UTF-8 */
    wb_status status;
    char wrong[160]; /* with the line */
} doc_t;

typedef struct job {
    const wb_tokenizer_t *tokenizer;
    bool clean;
    wb_tokens_writer_t *writer;
    doc_t *docs;
    int ndocs;
    size_t batch;                  /* bytes in docs */
    int64_t first, last;           /* own part of the line of inputs */
    int64_t read;                  /* bytes, for the progress line */
    int64_t documents, text, skip; /* written; bytes of text; documents without text */
    int garbled;                   /* files named as not UTF-8 */
    double started;
} job_t;

/* A byte order mark is not text. */
static size_t bom (const char *s, size_t n) { return n >= 3 && memcmp (s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; }

/* Is more than a hundredth of the text no UTF-8, as in Shift_JIS, EUC-JP or UTF-16?  A stray byte is not worth a word.
 */
static bool is_garbled (const char *text, size_t n) {
    const unsigned char *u = (const unsigned char *) text;
    size_t bad = 0;
    for (size_t i = 0; i < n;) {
        const size_t want = u[i] == 0     ? 0
                            : u[i] < 0x80 ? 1
                            : u[i] < 0xc2 ? 0
                            : u[i] < 0xe0 ? 2
                            : u[i] < 0xf0 ? 3
                            : u[i] < 0xf5 ? 4
                                          : 0;
        size_t k = 1;
        while (k < want && i + k < n && (u[i + k] & 0xc0) == 0x80) k++;
        if (k == want)
            i += k;
        else
            i++, bad++;
    }
    return bad > n / 100 && bad > 1;
}

/* Encode one document.  What is wrong with a line is left in the document, so that the first one is named whichever
 * thread met it. */
static void encode_doc (const job_t *j, doc_t *d) {
    const char *text = d->data;
    size_t n = d->n;
    json_t *line = NULL;
    if (d->from->kind == LINES) {
        json_error_t at;
        line = json_loadb (d->data, d->n, JSON_ALLOW_NUL, &at);
        const json_t *field = json_object_get (line, "text");
        if (line == NULL)
            snprintf (d->wrong, sizeof d->wrong, "not JSON: %.120s", at.text);
        else if (!json_is_string (field))
            snprintf (d->wrong, sizeof d->wrong, "no string \"text\" in this line");
        if (d->wrong[0] != 0) {
            d->status = WB_EDATA;
            json_decref (line);
            return;
        }
        text = json_string_value (field);
        n = json_string_length (field);
    }
    d->bytes = (int64_t) n;
    if (d->from->kind != LINES) d->garbled = is_garbled (text, n); /* JSON is UTF-8, or is refused */
    if (n > 0) d->status = wb_tokenizer_encode (j->tokenizer, &d->ids, text, n, j->clean);
    if (n > 0 && d->status == WB_OK) d->status = wb_ids_put (&d->ids, wb_tokenizer_eot (j->tokenizer));
    json_decref (line);
}

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

/* Encode and write what is in the batch; empties it, also on failure. */
static wb_status flush (job_t *j) {
    wb_status status = WB_OK;
#pragma omp parallel for schedule(dynamic, 1) if (j->ndocs > 1)
    for (int i = 0; i < j->ndocs; i++) encode_doc (j, &j->docs[i]);
    for (int i = 0; i < j->ndocs; i++) {
        doc_t *d = &j->docs[i];
        if (status == WB_OK) status = d->status;
        if (status == WB_EDATA && d->wrong[0] != 0)
            status = WB_FAIL (WB_EDATA, "%s:%lld: %s", d->from->path, (long long) line_number (d->from->path, d->at),
                              d->wrong);
        if (status == WB_OK && d->bytes > 0) {
            status = wb_tokens_writer_put (j->writer, d->ids.data, d->ids.len);
            j->documents++;
            j->text += d->bytes;
        } else if (d->bytes == 0)
            j->skip++;
        if (d->garbled && ++j->garbled <= MOST_WARNINGS)
            wb_warn ("%s is not UTF-8: what it holds becomes bytes, not words; convert it, for example: iconv -f "
                     "SHIFT_JIS -t UTF-8 (or EUC-JP, UTF-16)%s",
                     d->from->path, j->garbled == MOST_WARNINGS ? "; of others like it nothing more is said" : "");
        wb_ids_fini (&d->ids);
        wb_free (d->data);
    }
    j->ndocs = 0;
    j->batch = 0;
    double seconds = wb_now () - j->started;
    if (wb_log_is_tty () && status == WB_OK && seconds > 1.0) {
        char done[32], all[32];
        wb_log_progress ("encoding: %s of %s, %.1f MB/s", wb_format_bytes (done, (double) j->read),
                         wb_format_bytes (all, (double) (j->last - j->first)), (double) j->read / seconds / 1e6);
    }
    return status;
}

/* Takes `data`. */
static wb_status add (job_t *j, const input_t *from, char *data, size_t n, int64_t at) {
    j->docs[j->ndocs++] = (doc_t){.data = data, .n = n, .from = from, .at = at};
    j->batch += n;
    j->read += (int64_t) n;
    return j->batch >= BATCH_BYTES || j->ndocs == BATCH_DOCS ? flush (j) : WB_OK;
}

static wb_status take_text (job_t *j, const input_t *in) {
    char *data;
    size_t n;
    WB_TRY (wb_file_read (&data, &n, in->path));
    size_t skip = bom (data, n);
    if (skip > 0) memmove (data, data + skip, n - skip);
    return add (j, in, data, n - skip, 0);
}

/* Lines that begin in the own part. */
static wb_status take_lines (job_t *j, const input_t *in) {
    int64_t from = j->first > in->start ? j->first - in->start : 0, to = j->last - in->start;
    FILE *f = fopen (in->path, "rbe");
    if (f == NULL) return WB_FAIL (WB_EIO, "%s: cannot open: %s", in->path, strerror (errno));
    char *line = NULL;
    size_t cap = 0;
    wb_status status = WB_OK;
    int64_t at = from > 0 ? from - 1 : 0; /* a line begins at `from` when there is a line end in front of it */
    if (fseeko (f, (off_t) at, SEEK_SET) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot read: %s", in->path, strerror (errno));
    for (bool skip = from > 0; status == WB_OK && (at < to || skip); skip = false) {
        errno = 0;
        ssize_t n = getline (&line, &cap, f);
        if (n < 0) {
            if (ferror (f) || errno == ENOMEM)
                status =
                    WB_FAIL (errno == ENOMEM ? WB_ENOMEM : WB_EIO, "%s: cannot read: %s", in->path, strerror (errno));
            break;
        }
        const int64_t here = at;
        at += n;
        if (skip) continue;
        size_t start = here == 0 ? bom (line, (size_t) n) : 0, end = (size_t) n;
        while (end > start && isspace ((unsigned char) line[end - 1])) end--;
        if (end == start) continue;
        char *copy = wb_malloc (end - start);
        if (copy == NULL) {
            status = NO_MEMORY (in->path);
            break;
        }
        memcpy (copy, line + start, end - start);
        status = add (j, in, copy, end - start, here);
    }
    wb_free_foreign (line);
    fclose (f);
    return status;
}

static wb_status take_part (job_t *j, const list_t *l, int rank, int ranks) {
    j->docs = wb_malloc (BATCH_DOCS * sizeof *j->docs);
    if (j->docs == NULL) return NO_MEMORY ("batch of documents");
    const int64_t each = l->bytes / ranks, rest = l->bytes % ranks;
    j->first = each * rank + (rank < rest ? rank : rest);
    j->last = j->first + each + (rank < rest);
    wb_status status = WB_OK;
    for (int64_t i = 0; i < l->n && status == WB_OK; i++) {
        const input_t *in = &l->item[i];
        if (in->kind == LINES) {
            if (in->start < j->last && in->start + in->size > j->first) status = take_lines (j, in);
        } else if (in->kind == STREAM ? rank == 0 : in->start >= j->first && in->start < j->last)
            status = take_text (j, in);
    }
    if (status == WB_OK) status = flush (j);
    for (int i = 0; i < j->ndocs; i++) wb_free (j->docs[i].data); /* left behind by a failure */
    wb_free (j->docs);
    return status;
}

static void remove_tokens (const char *prefix) {
    static const char *const suffix[] = {"bin", "idx"};
    for (int i = 0; i < 2; i++) {
        char *path = wb_format ("%s.%s", prefix, suffix[i]);
        if (path != NULL) remove (path);
        wb_free (path);
    }
}

static wb_status join (const char *prefix, int32_t vocab, int ranks) {
    wb_tokens_writer_t *w;
    WB_TRY (wb_tokens_writer_new (&w, prefix, vocab));
    wb_status status = WB_OK;
    for (int r = 0; r < ranks && status == WB_OK; r++) {
        char *part = wb_format ("%s.rank%d", prefix, r);
        status = part != NULL ? wb_tokens_writer_join (w, part) : NO_MEMORY (prefix);
        wb_free (part);
    }
    if (status == WB_OK) return wb_tokens_writer_end (w, NULL, NULL);
    wb_tokens_writer_cancel (w);
    return status;
}

static void report (const char *prefix, const int64_t sum[4], double seconds) {
    char documents[32], tokens[32], bytes[32], skipped[32], note[80] = "", time[32];
    if (sum[3] > 0) snprintf (note, sizeof note, "; %s without text left out", wb_format_count (skipped, sum[3]));
    wb_info ("%s: %s document%s, %s tokens, %s bytes, %.3f bytes per token, %s, %.1f MB/s%s", prefix,
             wb_format_count (documents, sum[0]), sum[0] != 1 ? "s" : "", wb_format_count (tokens, sum[1]),
             wb_format_count (bytes, sum[2]), (double) sum[2] / (double) sum[1], wb_format_seconds (time, seconds),
             (double) sum[2] / seconds / 1e6, note);
}

/* Collective over world: between two agreements each rank goes on whatever happened to it. */
static wb_status encode_files (wb_comm_t *world, const char *spec, const char *prefix, bool clean, char **paths, int n,
                               int64_t threads) {
    const int rank = wb_comm_rank (world), ranks = wb_comm_size (world);
    int team;
    WB_TRY (wb_threads_set (&team, world, threads));
    wb_tokenizer_t *t = NULL;
    list_t l = {0};
    job_t j = {.clean = clean, .started = wb_now ()};
    wb_status status = wb_agree (world, wb_tokenizer_new (&t, spec));
    if (status == WB_OK) status = wb_agree (world, rank == 0 ? list_make (&l, paths, n, prefix, ranks) : WB_OK);
    if (status == WB_OK) status = list_share (&l, world);
    if (status == WB_OK) {
        const int32_t vocab = wb_tokenizer_size (t);
        char *part = ranks > 1 ? wb_format ("%s.rank%d", prefix, rank) : wb_strdup (prefix);
        int64_t sum[4] = {0};
        wb_status mine = part != NULL ? wb_tokens_writer_new (&j.writer, part, vocab) : NO_MEMORY (prefix);
        j.tokenizer = t;
        if (mine == WB_OK) mine = take_part (&j, &l, rank, ranks);
        wb_log_progress ("%s", "");
        int64_t documents = mine == WB_OK ? j.documents : 0;
        wb_comm_sum_i64 (world, &documents, 1);
        mine = wb_agree (world, mine);
        if (mine == WB_OK && documents == 0)
            mine = WB_FAIL (WB_EDATA, "no text in %s%s: %lld file%s there, but no document has any text", paths[0],
                            n > 1 ? " and the other inputs" : "", (long long) l.n, l.n > 1 ? "s" : "");
        if (mine == WB_OK)
            mine = wb_tokens_writer_end (j.writer, NULL, &sum[1]);
        else
            wb_tokens_writer_cancel (j.writer);
        status = wb_agree (world, mine);
        if (status == WB_OK && ranks > 1) status = wb_agree (world, rank == 0 ? join (prefix, vocab, ranks) : WB_OK);
        if (ranks > 1 && part != NULL) remove_tokens (part);
        wb_free (part);
        sum[0] = j.documents, sum[2] = j.text, sum[3] = j.skip;
        wb_comm_sum_i64 (world, sum, 4);
        if (status == WB_OK && rank == 0) report (prefix, sum, wb_now () - j.started);
    }
    list_fini (&l);
    wb_tokenizer_destroy (t);
    return status;
}

/* ---- line by line ---------------------------------------------------------------------------------------------- */

static wb_status print_ids (const wb_ids_t *ids, wb_buf_t *out) {
    wb_buf_clear (out);
    WB_TRY (wb_buf_put (out, "{\"ids\": [", 9));
    for (int64_t i = 0; i < ids->len; i++) {
        char number[16];
        int n = snprintf (number, sizeof number, "%s%d", i > 0 ? ", " : "", (int) ids->data[i]);
        WB_TRY (wb_buf_put (out, number, (size_t) n));
    }
    WB_TRY (wb_buf_put (out, "]}\n", 3));
    if (fwrite (out->data, 1, out->len, stdout) != out->len || fflush (stdout) != 0)
        return WB_FAIL (WB_EIO, "cannot write to the standard output: %s", strerror (errno));
    return WB_OK;
}

static wb_status encode_line (const wb_tokenizer_t *t, bool clean, const char *s, size_t n, int64_t number,
                              wb_ids_t *ids, wb_buf_t *out) {
    json_error_t at;
    json_t *line = json_loadb (s, n, JSON_ALLOW_NUL, &at);
    const json_t *text = json_object_get (line, "text");
    wb_status status;
    if (line == NULL)
        status = WB_FAIL (WB_EDATA, "standard input:%lld: not JSON: %s", (long long) number, at.text);
    else if (!json_is_string (text))
        status = WB_FAIL (WB_EDATA, "standard input:%lld: no string \"text\" in this line", (long long) number);
    else {
        wb_ids_clear (ids);
        status = wb_tokenizer_encode (t, ids, json_string_value (text), json_string_length (text), clean);
        if (status == WB_OK) status = print_ids (ids, out);
    }
    json_decref (line);
    return status;
}

static wb_status encode_lines (const char *spec, bool clean) {
    wb_tokenizer_t *t;
    WB_TRY (wb_tokenizer_new (&t, spec));
    wb_ids_t ids = {0};
    wb_buf_t out = {0};
    char *line = NULL;
    size_t cap = 0;
    wb_status status = WB_OK;
    for (int64_t number = 1; status == WB_OK; number++) {
        ssize_t n = getline (&line, &cap, stdin);
        if (n < 0) break;
        while (n > 0 && isspace ((unsigned char) line[n - 1])) n--;
        if (n > 0) status = encode_line (t, clean, line, (size_t) n, number, &ids, &out);
    }
    if (status == WB_OK && ferror (stdin))
        status = WB_FAIL (WB_EIO, "cannot read the standard input: %s", strerror (errno));
    wb_free_foreign (line);
    wb_ids_fini (&ids);
    wb_buf_fini (&out);
    wb_tokenizer_destroy (t);
    return status;
}

wb_status wb_cmd_encode (int argc, char **argv) {
    const char *spec = NULL, *prefix = NULL;
    bool clean = false, jsonl = false;
    int64_t threads = 0;
    int n = 0; /* inputs, moved to argv[1 ...] */
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &spec));
        else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &prefix));
        else if (wb_opts_is (&o, "--clean"))
            WB_TRY (wb_opts_flag (&o, &clean));
        else if (wb_opts_is (&o, "--jsonl"))
            WB_TRY (wb_opts_flag (&o, &jsonl));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &threads, 1, 4096));
        else if (wb_opts_is_file (&o))
            argv[1 + n++] = argv[o.at];
        else
            return wb_opts_unknown (&o);
    }
    if (spec == NULL) return WB_FAIL (WB_EUSAGE, "--tokenizer is missing: byte or a vocabulary directory");
    json_object_seed (0); /* before there are threads */
    if (jsonl) {
        if (prefix != NULL || n > 0)
            return WB_FAIL (WB_EUSAGE,
                            "--jsonl reads the standard input and writes the standard output; with it neither "
                            "-o nor INPUT");
        return wb_launcher_rank () == 0 ? encode_lines (spec, clean) : WB_OK;
    }
    if (prefix == NULL || prefix[0] == 0) return WB_FAIL (WB_EUSAGE, "-o PREFIX is missing (or --jsonl)");
    if (ends (prefix, "/") || wb_file_is_dir (prefix))
        return WB_FAIL (WB_EUSAGE, "-o %s: that is a directory; the files want a name in it, such as -o %s%stext",
                        prefix, prefix, ends (prefix, "/") ? "" : "/");
    if (n == 0) return WB_FAIL (WB_EUSAGE, "no INPUT: a file, a directory, or - for the standard input");
    wb_comm_t *world;
    WB_TRY (wb_world_new (&world));
    wb_status status = encode_files (world, spec, prefix, clean, argv + 1, n, threads);
    wb_world_destroy (world);
    return status;
}
