/* wabun encode: text to token files, or line by line for other programs.
 *
 * The list of inputs is a number line of bytes: every document has a place on it, and rank r of P takes those that
 * begin in its P-th part.  Parts are joined in order, so the file is the same, byte for byte, on any number of ranks
 * and threads.  A .txt file is one document; .jsonl files are cut between lines.
 *
 * Within a rank each thread takes what comes next, a file or a megabyte of one, reads and encodes it, and whoever has
 * finished writes what is next in order.  A long text is cut at line ends, between threads but not between ranks,
 * unless a vocabulary has words that lie across line ends: then one thread encodes it whole.  Memory: a few megabytes a
 * thread, whatever the inputs, but for such a text, and a long line of a .jsonl file.
 *
 * Not done here: finding documents in other formats and cleaning beyond the tokenizer's own (wabun corpus). */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "wabun/comm.h"
#include "wabun/dataset.h"
#include "wabun/launch.h"

#define UNIT ((int64_t) 1 << 20) /* bytes that a thread encodes at a time; twice as many thread have room */
#define MOST_WARNINGS 3

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
        if (p == NULL) return WB_NOMEM ("list of inputs");
        l->item = p;
        l->cap = cap;
    }
    char *name = wb_strdup (path);
    if (name == NULL) return WB_NOMEM ("list of inputs");
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
                status = WB_NOMEM ("list of inputs");
                break;
            }
            names = p;
        }
        names[n] = wb_format ("%s%s%s", path, ends (path, "/") ? "" : "/", e->d_name);
        if (names[n] == NULL)
            status = WB_NOMEM ("list of inputs");
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
    if (dir == NULL) return WB_NOMEM ("%s", prefix);
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
        status = wb_agree (world, all != NULL ? WB_OK : WB_NOMEM ("list of inputs"));
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

typedef struct room {
    char *data;
    size_t len, cap;
} room_t;

/* What a thread encodes at a time: a text, or the lines that begin in a part of a file.  A stream's is in `stream`. */
typedef struct unit {
    const input_t *in;
    int64_t from, to; /* bytes of the file */
    bool last;        /* of a text */
    room_t stream;
    /* what came of it */
    wb_ids_t ids;
    wb_buf_t lengths;             /* int64 ids of each line with text; a text's end with its last unit */
    int64_t text, skipped, stray; /* bytes of text; lines without any; bytes that are no UTF-8 */
    int64_t wrong_at;             /* with EDATA: the line, in its file */
    wb_status status;
    char wrong[512];
    bool done;
} unit_t;

typedef struct job {
    const wb_tokenizer_t *tokenizer;
    bool clean;
    wb_tokens_writer_t *writer;
    const list_t *list;
    bool root;                     /* streams are read here */
    int64_t first, last;           /* own part of the line of inputs */
    int64_t read;                  /* bytes, for the progress line */
    int64_t documents, text, skip; /* written; bytes of text; documents without text */
    int64_t open_text, open_stray; /* of the text whose end is not written yet */
    int garbled;                   /* files named as not UTF-8 */
    double started;
    wb_status status; /* the first that was not WB_OK, in the order of the inputs */
    wb_error_t error; /* its record */
    /* what comes next */
    int64_t input, at;
    int fd;      /* of the stream that is being read, -1: none */
    room_t rest; /* its bytes behind the last line end */
    /* units in their order, as a ring: written <= taken <= written + room */
    pthread_mutex_t lock;
    pthread_cond_t written_one;
    unit_t *units;
    int64_t room, taken, written;
    bool writing, stopped;
} job_t;

/* Fails with a message that is given out when it is this unit's turn, so that the first in the order of the inputs is
 * named whichever thread met it. */
static void wrong (unit_t *u, wb_status status, const char *fmt, ...) WB_PRINTF (3, 4);
static void wrong (unit_t *u, wb_status status, const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    vsnprintf (u->wrong, sizeof u->wrong, fmt, ap);
    va_end (ap);
    u->status = status;
}

/* What this thread's record says becomes the unit's. */
static void keep_error (unit_t *u) {
    wb_error_t e;
    wb_error_take (&e);
    wrong (u, u->status, "%s", e.text);
    u->wrong_at = -1;
}

static bool have_room (unit_t *u, room_t *b, size_t n) {
    if (b->data != NULL && n <= b->cap) return true;
    if (n < 2 * b->cap) n = 2 * b->cap;
    char *p = wb_realloc (b->data, n);
    if (p == NULL) {
        wrong (u, WB_ENOMEM, "%s: out of memory", u->in->path);
        return false;
    }
    b->data = p;
    b->cap = n;
    return true;
}

/* Appends up to n bytes; fewer: the file ends. */
static bool read_more (unit_t *u, room_t *b, int fd, size_t n) {
    if (!have_room (u, b, b->len + n)) return false;
    while (n > 0) {
        const ssize_t k = read (fd, b->data + b->len, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            wrong (u, WB_EIO, "%s: cannot read: %s", u->in->path, strerror (errno));
            return false;
        }
        if (k == 0) break;
        b->len += (size_t) k;
        n -= (size_t) k;
    }
    return true;
}

/* The lines that begin in the unit's part: they are b->data[*start .. b->len), and *at is where that is in the file. A
 * line begins at byte 0 and behind every line end, so what the parts of a file give is the file. */
static bool read_part (unit_t *u, room_t *b, size_t *start, int64_t *at) {
    enum { MORE = 1 << 16 };
    const int64_t from = u->from > 0 ? u->from - 1 : 0;
    const size_t n = (size_t) (u->to - from);
    *start = b->len = 0;
    int fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        wrong (u, WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
        return false;
    }
    bool ok = from == 0 || lseek (fd, (off_t) from, SEEK_SET) >= 0;
    if (!ok) wrong (u, WB_EIO, "%s: cannot read: %s", u->in->path, strerror (errno));
    ok = ok && read_more (u, b, fd, n);
    if (ok && u->from > 0) {
        const char *end = memchr (b->data, '\n', b->len);
        *start = end != NULL ? (size_t) (end - b->data) + 1 : b->len;
        if (*start >= n) *start = b->len = 0;
    }
    /* the last line may go on behind the part */
    for (size_t seen = b->len; ok && b->len > 0 && b->data[b->len - 1] != '\n'; seen = b->len) {
        ok = read_more (u, b, fd, MORE);
        const char *end = b->len > seen ? memchr (b->data + seen, '\n', b->len - seen) : NULL;
        if (end != NULL) b->len = (size_t) (end - b->data) + 1;
        if (b->len == seen) break;
    }
    close (fd);
    *at = from + (int64_t) *start;
    if (ok && *at == 0 && b->len >= 3 && memcmp (b->data, "\xef\xbb\xbf", 3) == 0) *start = 3; /* no text: a mark */
    return ok;
}

/* One line of a .jsonl file, without blanks at its ends, at `at` in its file. */
static bool encode_line_of (const job_t *j, unit_t *u, const char *s, size_t n, int64_t at) {
    json_error_t error;
    json_t *line = json_loadb (s, n, JSON_ALLOW_NUL, &error);
    const json_t *field = json_object_get (line, "text");
    const int64_t before = u->ids.len;
    u->wrong_at = at;
    if (line == NULL)
        wrong (u, WB_EDATA, "not JSON: %.120s", error.text);
    else if (!json_is_string (field))
        wrong (u, WB_EDATA, "no string \"text\" in this line");
    else if (json_string_length (field) == 0)
        u->skipped++;
    else {
        u->text += (int64_t) json_string_length (field);
        u->status = wb_tokenizer_encode (j->tokenizer, &u->ids, json_string_value (field), json_string_length (field),
                                         j->clean);
        if (u->status == WB_OK) u->status = wb_ids_put (&u->ids, wb_tokenizer_eot (j->tokenizer));
        const int64_t ids = u->ids.len - before;
        if (u->status == WB_OK) u->status = wb_buf_put (&u->lengths, &ids, sizeof ids);
    }
    if (u->status != WB_OK && u->wrong[0] == 0) keep_error (u);
    json_decref (line);
    return u->status == WB_OK;
}

/* Reads and encodes; what goes wrong is left in the unit.  `room` is the thread's own, kept between units. */
static void encode_unit (const job_t *j, unit_t *u, room_t *room) {
    const bool stream = u->in->kind == STREAM;
    size_t start = 0;
    int64_t at = 0;
    if (u->status != WB_OK || (!stream && !read_part (u, room, &start, &at))) return;
    const char *s = (stream ? u->stream.data : room->data) + start;
    const size_t n = (stream ? u->stream.len : room->len) - start;
    if (u->in->kind != LINES) {
        u->text = (int64_t) n;
        u->stray = wb_text_stray (s, n);
        if (n > 0) u->status = wb_tokenizer_encode (j->tokenizer, &u->ids, s, n, j->clean);
        if (u->status != WB_OK) keep_error (u);
        return;
    }
    for (size_t from = 0, next; from < n; from = next) { /* JSON is UTF-8, or is refused */
        const char *end = memchr (s + from, '\n', n - from);
        next = end != NULL ? (size_t) (end - s) + 1 : n;
        size_t to = next;
        while (to > from && isspace ((unsigned char) s[to - 1])) to--;
        if (to > from && !encode_line_of (j, u, s + from, to - from, at + (int64_t) from)) return;
    }
}

/* ---- in order -------------------------------------------------------------------------------------------------- */

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

/* The end of a text.  More than a hundredth of it no UTF-8, as in Shift_JIS, EUC-JP or UTF-16, is worth a warning; a
 * stray byte is not. */
static wb_status end_text (job_t *j, const unit_t *u) {
    const int32_t eot = wb_tokenizer_eot (j->tokenizer);
    const int64_t text = j->open_text, stray = j->open_stray;
    j->open_text = j->open_stray = 0;
    if (stray > text / 100 && stray > 1 && ++j->garbled <= MOST_WARNINGS)
        wb_warn (WB_NOT_UTF8 "%s", u->in->path,
                 j->garbled == MOST_WARNINGS ? "; of others like it nothing more is said" : "");
    if (text == 0) {
        j->skip++;
        return WB_OK;
    }
    j->documents++;
    return wb_tokens_writer_put (j->writer, &eot, 1);
}

static wb_status write_unit (job_t *j, const unit_t *u) {
    if (u->status == WB_EDATA && u->wrong_at >= 0)
        return WB_FAIL (WB_EDATA, "%s:%lld: %s", u->in->path, (long long) line_number (u->in->path, u->wrong_at),
                        u->wrong);
    if (u->status != WB_OK) return u->wrong[0] != 0 ? WB_FAIL (u->status, "%s", u->wrong) : u->status;
    j->text += u->text;
    j->skip += u->skipped;
    j->read += u->in->kind == STREAM ? u->text : u->to - u->from;
    if (u->in->kind != LINES) {
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
    const double seconds = wb_now () - j->started;
    if (wb_log_is_tty () && seconds > 1.0) {
        char done[32], all[32];
        wb_log_progress ("encoding: %s of %s, %.1f MB/s", wb_format_bytes (done, (double) j->read),
                         wb_format_bytes (all, (double) (j->last - j->first)), (double) j->read / seconds / 1e6);
    }
    return WB_OK;
}

/* The next bytes of a stream, up to a line end where the tokenizer allows it. */
static void take_stream (job_t *j, unit_t *u) {
    const bool cut = wb_tokenizer_by_lines (j->tokenizer), begins = j->at == 0;
    if (j->fd < 0) j->fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
    if (j->fd < 0) {
        wrong (u, WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
        return;
    }
    room_t *b = &u->stream;
    size_t before = j->rest.len, whole = 0; /* there is no line end in the rest */
    if (!have_room (u, b, before + (size_t) UNIT)) return;
    if (before > 0) memcpy (b->data, j->rest.data, before);
    b->len = before;
    for (j->rest.len = 0; whole == 0; before = b->len) {
        if (!read_more (u, b, j->fd, (size_t) UNIT)) return;
        u->last = b->len - before < (size_t) UNIT;
        const char *end = cut && !u->last ? memrchr (b->data + before, '\n', b->len - before) : NULL;
        if (end != NULL) whole = (size_t) (end - b->data) + 1;
        if (u->last) whole = b->len;
        if (u->last) break;
    }
    if (whole < b->len) {
        j->rest.len = b->len - whole;
        if (!have_room (u, &j->rest, j->rest.len)) return;
        memcpy (j->rest.data, b->data + whole, j->rest.len);
        b->len = whole;
    }
    j->at += (int64_t) whole;
    if (begins && b->len >= 3 && memcmp (b->data, "\xef\xbb\xbf", 3) == 0) memmove (b->data, b->data + 3, b->len -= 3);
}

/* The next unit of the own part; false: there is none. */
static bool take_unit (job_t *j, unit_t *u) {
    for (; j->input < j->list->n; j->input++) {
        const input_t *in = &j->list->item[j->input];
        int64_t from = j->at, end = in->size;
        bool mine = in->kind == STREAM ? j->root : in->start >= j->first && in->start < j->last;
        if (in->kind == LINES) {
            mine = in->start < j->last && in->start + in->size > j->first;
            if (from < j->first - in->start) from = j->first - in->start;
            if (end > j->last - in->start) end = j->last - in->start;
        }
        if (!mine) continue;
        const bool cut = in->kind == LINES || wb_tokenizer_by_lines (j->tokenizer);
        const int64_t to = cut && end - from > UNIT + UNIT / 2 ? from + UNIT : end;
        *u = (unit_t){.in = in,
                      .from = from,
                      .to = to,
                      .last = to == end,
                      .stream = u->stream,
                      .ids = u->ids,
                      .lengths = u->lengths};
        wb_ids_clear (&u->ids);
        wb_buf_clear (&u->lengths);
        if (in->kind == STREAM) {
            take_stream (j, u);
            if (u->status != WB_OK) u->last = true;
            if (u->last && j->fd >= 0) close (j->fd);
            if (u->last) j->fd = -1;
        } else
            j->at = to;
        if (u->last) j->input++, j->at = 0;
        return true;
    }
    return false;
}

/* Writes what is done, in order.  One thread at a time does that, without the lock, and the others need not wait. */
static void write_units (job_t *j) {
    if (j->writing) return;
    j->writing = true;
    while (!j->stopped && j->written < j->taken && j->units[j->written % j->room].done) {
        pthread_mutex_unlock (&j->lock);
        const wb_status status = write_unit (j, &j->units[j->written % j->room]);
        pthread_mutex_lock (&j->lock);
        j->written++;
        if (status != WB_OK) {
            j->status = status, j->stopped = true;
            wb_error_take (&j->error);
        }
        pthread_cond_broadcast (&j->written_one);
    }
    j->writing = false;
}

/* A thread's share. */
static void work (job_t *j) {
    room_t room = {0};
    pthread_mutex_lock (&j->lock);
    while (!j->stopped) {
        unit_t *u = &j->units[j->taken % j->room];
        if (j->taken - j->written == j->room) {
            pthread_cond_wait (&j->written_one, &j->lock);
            continue;
        }
        if (!take_unit (j, u)) break;
        j->taken++;
        pthread_mutex_unlock (&j->lock);
        encode_unit (j, u, &room);
        pthread_mutex_lock (&j->lock);
        u->done = true;
        write_units (j);
    }
    pthread_mutex_unlock (&j->lock);
    wb_free (room.data);
}

static wb_status take_part (job_t *j, const list_t *l, int rank, int ranks, int threads) {
    const int64_t each = l->bytes / ranks, rest = l->bytes % ranks;
    j->list = l;
    j->root = rank == 0;
    j->first = each * rank + (rank < rest ? rank : rest);
    j->last = j->first + each + (rank < rest);
    j->room = 2 * threads + 2;
    j->units = wb_calloc ((size_t) j->room, sizeof *j->units);
    if (j->units == NULL) return WB_NOMEM ("units of work");
    pthread_mutex_init (&j->lock, NULL);
    pthread_cond_init (&j->written_one, NULL);
    j->fd = -1;
#pragma omp parallel num_threads(threads)
    work (j);
    if (j->status != WB_OK) wb_error_put (&j->error);
    pthread_cond_destroy (&j->written_one);
    pthread_mutex_destroy (&j->lock);
    if (j->fd >= 0) close (j->fd); /* left by a failure */
    wb_free (j->rest.data);
    for (int64_t i = 0; i < j->room; i++) {
        wb_free (j->units[i].stream.data);
        wb_ids_fini (&j->units[i].ids);
        wb_buf_fini (&j->units[i].lengths);
    }
    wb_free (j->units);
    return j->status;
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
        status = part != NULL ? wb_tokens_writer_join (w, part) : WB_NOMEM ("%s", prefix);
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
    WB_TRY (wb_comm_threads (&team, world, threads));
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
        wb_status mine = part != NULL ? wb_tokens_writer_new (&j.writer, part, vocab) : WB_NOMEM ("%s", prefix);
        j.tokenizer = t;
        if (mine == WB_OK) mine = take_part (&j, &l, rank, ranks, team);
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
        return wb_flush (stdout, "standard output");
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

static wb_status run (int argc, char **argv) {
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

const wb_cmd_t wb_cmd_encode = {
    .name = "encode",
    .usage = "--tokenizer T [--clean] -o PREFIX INPUT... | --jsonl",
    .line = "turn text into token files",
    .run = run,
    .flags = WB_CMD_RANKS,
    .text = "  --tokenizer T     byte, a vocabulary directory or a model directory\n"
            "  --clean           replace URLs, e-mail addresses, telephone numbers, dates and prices by tags\n"
            "  -o PREFIX         write PREFIX.bin and PREFIX.idx\n"
            "  INPUT             files and directories: a .txt is one document, a .jsonl one in each line\n"
            "                    {\"text\": ...}; - is the standard input\n"
            "  --jsonl           stdin lines {\"text\": ...} become stdout lines {\"ids\": [...]}\n"
            "  --threads N       threads of a rank (default: OMP_NUM_THREADS, or cores / ranks)\n"
            "\n"
            "Directories are walked in the order of names. A byte order mark at the start of a file is left out. Each\n"
            "document ends in <|endoftext|>. The files are Megatron's indexed data set.\n"
            "Under mpirun the ranks share the input; the file is the same on any number of them.\n",
};
