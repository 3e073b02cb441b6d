/* Units of encoding: a rank's part of the inputs in pieces, each read and encoded by one thread.
 *
 * A unit is a text, a megabyte of one, or the lines that begin in a megabyte of a file of lines.  A file that has to be
 * converted is one unit, since its bytes say nothing of where its characters and lines are.
 *
 * Not done here: writing. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "corpus/content.h"
#include "dataset/encode.h"
#include "wabun/json.h"

#define WHOLE_MAX ((int64_t) 1 << 30) /* bytes of a file that is converted */

wb_status wb_encoder_read (wb_buf_t *b, int fd, size_t n, const char *path) {
    size_t got;
    WB_TRY (wb_buf_reserve (b, n));
    const int error = wb_fd_read (fd, b->data + b->len, &got, n, -1);
    b->len += got;
    b->data[b->len] = 0;
    return error == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
}

static int64_t count_lines (const char *s, size_t n) {
    int64_t lines = 0;
    for (const char *p = s, *end = s + n; p < end && (p = memchr (p, '\n', (size_t) (end - p))) != NULL; p++) lines++;
    return lines;
}

/* ---- taking ----------------------------------------------------------------------------------------------------- */

static wb_status too_large (const char *path) {
    return WB_FAIL (WB_EDATA,
                    "%s is not UTF-8, and too large to be converted here (1 GiB at most): convert it with iconv", path);
}

/* The first bytes of a stream have been read: what is it? */
static wb_status look_at_stream (wb_encoder_t *j, wb_unit_t *u) {
    wb_look_t look;
    wb_buf_t *b = &u->stream;
    WB_TRY (wb_look_bytes (&look, b->data, b->len, j->e->field, j->from));
    if (look.binary > 0)
        return WB_FAIL (WB_EDATA, "%s is not text: it is %s", u->in->path, wb_content_name (look.binary));
    if (look.packed) return wb_encoder_begin_records (j, u);
    j->stream_lines = look.lines;
    j->stream_line = 0;
    u->whole = look.charset != WB_CHARSET_UTF8 && look.charset != WB_CHARSET_UNKNOWN;
    while (u->whole && !u->last) {
        const size_t before = b->len;
        WB_TRY (wb_encoder_read (b, j->fd, (size_t) WB_UNIT, u->in->path));
        u->last = b->len - before < (size_t) WB_UNIT;
        if ((int64_t) b->len > WHOLE_MAX) return too_large (u->in->path);
    }
    return WB_OK;
}

/* The next bytes of a stream, up to a line end where the tokenizer allows it. */
static wb_status take_stream (wb_encoder_t *j, wb_unit_t *u) {
    if (j->fd < 0) j->fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
    if (j->fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
    wb_buf_t *b = &u->stream;
    wb_buf_clear (b);
    if (j->records != NULL) return wb_encoder_take_records (j, u);
    WB_TRY (wb_buf_put (b, j->rest.data, j->rest.len));
    size_t whole = 0;
    for (u->last = false; whole == 0 && !u->last;) {
        const size_t before = b->len;
        WB_TRY (wb_encoder_read (b, j->fd, (size_t) WB_UNIT, u->in->path));
        u->last = b->len - before < (size_t) WB_UNIT;
        if (u->first && before == 0) WB_TRY (look_at_stream (j, u));
        if (j->records != NULL) return wb_encoder_take_records (j, u);
        const bool cut = j->stream_lines || wb_tokenizer_by_lines (j->tokenizer);
        const char *end = cut && !u->last ? memrchr (b->data + before, '\n', b->len - before) : NULL;
        if (end != NULL) whole = (size_t) (end - b->data) + 1;
    }
    if (u->last) whole = b->len;
    u->begins = u->first || j->stream_begins;
    j->stream_begins = false;
    if (!u->last && !j->stream_lines) whole = wb_encoder_text_end (b->data, whole, &j->stream_begins);
    wb_buf_clear (&j->rest);
    WB_TRY (wb_buf_put (&j->rest, b->data + whole, b->len - whole));
    b->len = whole;
    u->lines = j->stream_lines;
    u->start = -1;
    u->start_line = j->stream_line;
    j->stream_line += count_lines (b->data, b->len);
    j->at += (int64_t) whole;
    const size_t mark = u->first && !u->whole ? wb_bom (b->data, b->len) : 0;
    if (mark > 0) memmove (b->data, b->data + mark, b->len -= mark);
    return WB_OK;
}

/* The bytes of a file that this rank encodes; false: none. */
static bool mine (const wb_encoder_t *j, const wb_input_t *in, bool whole, int64_t *from, int64_t *end) {
    if (in->kind == WB_INPUT_STREAM) return j->root;
    if (in->kind == WB_INPUT_TEXT || in->kind == WB_INPUT_RECORDS || whole)
        return in->start >= j->first && in->start < j->last;
    if (*from < j->first - in->start) *from = j->first - in->start;
    if (*end > j->last - in->start) *end = j->last - in->start;
    return in->start < j->last && in->start + in->bytes > j->first;
}

static void begin_unit (wb_unit_t *u, const wb_input_t *in, bool whole) {
    u->in = in;
    u->lines = in->kind == WB_INPUT_LINES;
    u->whole = whole;
    u->records = in->kind == WB_INPUT_RECORDS;
    u->cut = u->begins = false;
    u->side = 0;
    u->start = u->start_line = 0;
    u->skipped = u->stray = u->bad = u->marks = 0;
    u->converted = WB_CHARSET_UTF8;
    u->seems[0] = 0;
    u->mistaken = false;
    u->words = 0;
    u->hash = UINT64_MAX;
    u->left.n = u->bad_records.n = u->garbled.n = u->garbled_bytes = u->json = 0;
    memset (u->markup, 0, sizeof u->markup);
    memset (u->line_markup, 0, sizeof u->line_markup);
    wb_ids_clear (&u->ids);
    wb_buf_clear (&u->documents);
    wb_buf_clear (&u->parts);
    if (u->records) wb_buf_clear (&u->stream);
}

wb_status wb_encoder_take (void *encoder, void *unit, bool *more) {
    wb_encoder_t *j = encoder;
    wb_unit_t *u = unit;
    for (; j->input < j->inputs->len; j->input++) {
        const wb_input_t *in = &j->inputs->data[j->input];
        const bool whole =
            in->kind != WB_INPUT_RECORDS && in->charset != WB_CHARSET_UTF8 && in->charset != WB_CHARSET_UNKNOWN;
        int64_t from = j->at, end = in->bytes;
        if (!mine (j, in, whole, &from, &end)) continue;
        begin_unit (u, in, whole);
        if (u->records) {
            WB_TRY (wb_encoder_take_records (j, u));
            j->input += u->last;
            return WB_OK;
        }
        if (whole && end > WHOLE_MAX) return too_large (in->path);
        int64_t begin = 0;
        if (j->cut && in->kind == WB_INPUT_TEXT && !whole) { /* two documents: lines before, and from, a byte */
            const int64_t at = (int64_t) ((double) in->bytes * (1 - j->e->validation));
            u->cut = true;
            u->side = from >= at && at > 0;
            if (u->side == 0)
                end = at > 0 ? at : end;
            else
                begin = at;
        }
        const bool by_lines = u->lines || wb_tokenizer_by_lines (j->tokenizer);
        u->from = from;
        u->to = by_lines && !whole && end - from > WB_UNIT + WB_UNIT / 2 ? from + WB_UNIT : end;
        u->first = from == begin;
        u->last = u->to == end;
        bool done = u->last && (u->side == 1 || !u->cut || end == in->bytes);
        if (in->kind == WB_INPUT_STREAM) {
            WB_TRY (take_stream (j, u));
            done = u->last;
            if (done) wb_encoder_fini (j);
        } else
            j->at = u->to;
        if (done) j->input++, j->at = 0;
        return WB_OK;
    }
    *more = false;
    return WB_OK;
}

void wb_encoder_fini (wb_encoder_t *j) {
    if (j->fd >= 0) close (j->fd);
    j->fd = -1;
    wb_buf_fini (&j->rest);
    wb_records_close (j->records);
    j->records = NULL;
    wb_record_fini (&j->record);
}

void wb_encoder_own_fini (wb_encoder_own_t *own) {
    wb_buf_fini (&own->raw);
    wb_buf_fini (&own->text);
    wb_extractor_destroy (own->extractor);
    wb_document_fini (&own->document);
}

void wb_unit_fini (wb_unit_t *u) {
    wb_buf_fini (&u->stream);
    wb_buf_fini (&u->parts);
    wb_ids_fini (&u->ids);
    wb_buf_fini (&u->documents);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* The lines that begin in the unit's part: they are b->data[*start .. b->len), and u->start is where that is in the
 * file.  A line begins at byte 0 and after every line end, so the parts of a file together give the whole file. */
static wb_status read_lines (wb_buf_t *b, size_t *start, wb_unit_t *u, int fd) {
    enum { MORE = 1 << 16 };
    const int64_t from = u->from > 0 ? u->from - 1 : 0;
    const size_t n = (size_t) (u->to - from);
    *start = b->len = 0;
    if (from > 0 && lseek (fd, (off_t) from, SEEK_SET) < 0)
        return WB_FAIL (WB_EIO, "%s: cannot read: %s", u->in->path, strerror (errno));
    WB_TRY (wb_encoder_read (b, fd, n, u->in->path));
    if (u->from > 0) {
        const char *end = memchr (b->data, '\n', b->len);
        *start = end != NULL ? (size_t) (end - b->data) + 1 : b->len;
        if (*start >= n) *start = b->len = 0;
    }
    while (b->len > 0 && b->data[b->len - 1] != '\n' && !u->whole) { /* the last line goes on after the part */
        const size_t before = b->len;
        WB_TRY (wb_encoder_read (b, fd, MORE, u->in->path));
        if (b->len == before) break;
        const char *end = memchr (b->data + before, '\n', b->len - before);
        if (end != NULL) b->len = (size_t) (end - b->data) + 1;
    }
    u->start = from + (int64_t) *start;
    if (u->start == 0 && !u->whole) *start = wb_bom (b->data, b->len);
    return WB_OK;
}

/* Which encoding to convert from; WB_CHARSET_UTF8, _UNKNOWN: none. */
static wb_charset which (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) {
    u->stray = u->whole && j->from != NULL ? 0 : wb_text_stray (s, n);
    if (j->from != NULL) {
        u->mistaken = wb_charset_mistaken (j->from, s, n < WB_HASHED ? n : WB_HASHED, u->seems);
        return u->whole && strcasecmp (j->from, "UTF-8") != 0 ? WB_CHARSET_NAMED : WB_CHARSET_UTF8;
    }
    const bool escapes = n > 0 && memchr (s, 0x1b, n) != NULL; /* ISO-2022-JP */
    if (!u->whole && !escapes && u->stray <= 1) return WB_CHARSET_UTF8;
    const wb_charset c = wb_charset_guess (s, n, u->seems);
    return c == WB_CHARSET_UNKNOWN && u->in->charset != WB_CHARSET_UTF8 ? u->in->charset : c;
}

/* The text of a unit, s [n], as UTF-8 where it is anything else for certain; then it is in `text`. */
static wb_status convert (const wb_encoder_t *j, wb_unit_t *u, wb_buf_t *text, char **s, size_t *n) {
    const wb_charset from = which (j, u, *s, *n);
    if (from == WB_CHARSET_UNKNOWN || from == WB_CHARSET_UTF8) return WB_OK;
    const char *name = from == WB_CHARSET_NAMED ? j->from : wb_charset_name (from);
    if (!u->mistaken) snprintf (u->seems, sizeof u->seems, "%s", name);
    if (!u->whole && (u->cut || !u->first || !u->last)) return WB_OK; /* a piece of a file that began as UTF-8 */
    int64_t stray = 0;
    wb_buf_clear (text);
    WB_TRY (wb_charset_convert (text, &stray, name, *s, *n));
    if (from != WB_CHARSET_NAMED && wb_text_garbled (stray, (int64_t) *n / 2)) return WB_OK; /* as it is */
    const size_t mark = wb_bom (text->data, text->len);
    u->converted = from;
    u->stray = stray;
    u->start = -1;
    *s = text->data + mark;
    *n = text->len - mark;
    return WB_OK;
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

int64_t wb_encoder_words (const char *s, size_t n) {
    static const char word[] = "<|endoftext|>";
    int64_t words = 0;
    for (const char *end = s + n; n > 0 && (s = memmem (s, (size_t) (end - s), word, sizeof word - 1)) != NULL; words++)
        s += sizeof word - 1;
    return words;
}

int wb_encoder_side (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) {
    if (j->e->validation == 0) return 0;
    const uint64_t hash = wb_hash64 (s, n < WB_HASHED ? n : WB_HASHED);
    if (hash < u->hash) u->hash = hash;
    return hash <= j->limit;
}

static wb_status encode_document (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n, int side) {
    const int64_t before = u->ids.len;
    if (n == 0) return WB_OK;
    WB_TRY (wb_tokenizer_encode (j->tokenizer, &u->ids, s, n, j->e->clean));
    WB_TRY (wb_ids_put (&u->ids, wb_tokenizer_eot (j->tokenizer)));
    const wb_encoded_t d = {u->ids.len - before, (int64_t) n, side};
    return wb_buf_put (&u->documents, &d, sizeof d);
}

wb_status wb_encoder_document (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) {
    if (n == 0) u->skipped++;
    u->words += wb_encoder_words (s, n);
    if (!j->cut || n == 0) return encode_document (j, u, s, n, wb_encoder_side (j, u, s, n));
    size_t at = (size_t) ((double) n * (1 - j->e->validation));
    const char *end = memchr (s + at, '\n', n - at);
    at = end != NULL ? (size_t) (end - s) + 1 : n;
    WB_TRY (encode_document (j, u, s, at, 0));
    return encode_document (j, u, s + at, n - at, 1);
}

/* A string of a line, with LF for CRLF as the inputs are to have it, appended to `to`; false: there is none. */
static wb_status put_field (wb_buf_t *to, bool *there, const wb_encoder_t *j, const json_t *line, const char *field,
                            wb_jsonl_complaint_t *c) {
    size_t n = 0;
    const size_t before = to->len;
    const char *text = line != NULL ? wb_jsonl_text (line, field, &n, c) : NULL;
    *there = text != NULL;
    if (text == NULL) return WB_OK;
    WB_TRY (wb_buf_put (to, text, n));
    if (!j->e->keep_crlf) to->len = before + wb_fold_crlf (to->data + before, n);
    return WB_OK;
}

/* A prompt and its response: one document, of which the prompt's ids are noted as ~id, since they do not count.  Both
 * are encoded by themselves, as they will be when the prompt is a context. */
static wb_status encode_answer (const wb_encoder_t *j, wb_unit_t *u, wb_buf_t *own, const json_t *line, bool *good,
                                wb_jsonl_complaint_t *c) {
    wb_buf_clear (own);
    WB_TRY (put_field (own, good, j, line, "prompt", c));
    const size_t prompt = own->len;
    if (*good) WB_TRY (put_field (own, good, j, line, "response", c));
    const int64_t before = u->ids.len;
    if (!*good) return WB_OK;
    u->words += wb_encoder_words (own->data, own->len);
    if (own->len == prompt) {
        u->skipped++;
        return WB_OK;
    }
    if (prompt > 0) WB_TRY (wb_tokenizer_encode (j->tokenizer, &u->ids, own->data, prompt, j->e->clean));
    for (int64_t i = before; i < u->ids.len; i++) u->ids.data[i] = ~u->ids.data[i];
    WB_TRY (wb_tokenizer_encode (j->tokenizer, &u->ids, own->data + prompt, own->len - prompt, j->e->clean));
    WB_TRY (wb_ids_put (&u->ids, wb_tokenizer_eot (j->tokenizer)));
    const wb_encoded_t d = {u->ids.len - before, (int64_t) own->len, wb_encoder_side (j, u, own->data, own->len)};
    return wb_buf_put (&u->documents, &d, sizeof d);
}

/* One line of JSON; it is the unit's `line`-th. */
static wb_status encode_line (const wb_encoder_t *j, wb_unit_t *u, wb_buf_t *own, const char *s, size_t n,
                              int64_t number) {
    wb_jsonl_complaint_t complaint;
    const size_t mark = wb_bom (s, n); /* files that were put together have one in the middle */
    json_t *line = wb_jsonl_parse (s + mark, n - mark, true, &complaint);
    size_t bytes = 0;
    const bool answers = j->e->answers;
    const char *text = line != NULL && !answers ? wb_jsonl_text (line, j->e->field, &bytes, &complaint) : NULL;
    WB_TRY (wb_json_status (line));
    wb_status status = WB_OK;
    bool good = text != NULL;
    if (answers && line != NULL) status = encode_answer (j, u, own, line, &good, &complaint);
    if (!good) {
        if (u->bad < WB_NOTES) u->bad_lines[u->bad] = (wb_bad_line_t){number, complaint};
        u->bad++;
    } else if (!answers) {
        if (!j->e->keep_crlf && bytes > 0 && memchr (text, '\r', bytes) != NULL) {
            wb_buf_clear (own);
            status = wb_buf_put (own, text, bytes);
            if (status == WB_OK) bytes = wb_fold_crlf (own->data, bytes);
            text = own->data;
        }
        u->line_markup[wb_content_markup (text, bytes)]++;
        if (status == WB_OK) status = wb_encoder_document (j, u, text, bytes);
    }
    json_decref (line);
    return status;
}

static wb_status encode_lines (const wb_encoder_t *j, wb_unit_t *u, wb_buf_t *own, const char *s, size_t n) {
    int64_t number = 0;
    for (size_t from = 0, next; from < n; from = next, number++) {
        const char *end = memchr (s + from, '\n', n - from);
        next = end != NULL ? (size_t) (end - s) + 1 : n;
        const size_t bytes = wb_jsonl_trim (s + from, next - from);
        if (bytes > 0) WB_TRY (encode_line (j, u, own, s + from, bytes, number));
        if (u->bad > 0 && j->e->bad_lines == WB_BAD_LINES_STOP) break;
    }
    return WB_OK;
}

wb_status wb_encoder_work (void *encoder, void *unit, void *own) {
    const wb_encoder_t *j = encoder;
    wb_unit_t *u = unit;
    wb_encoder_own_t *o = own;
    if (j->e->answers && !u->lines)
        return WB_FAIL (WB_EDATA,
                        "%s: --answers wants lines of JSON {\"prompt\": ..., \"response\": ...}, in files that are not "
                        "packed",
                        u->in->path);
    if (u->records) return wb_encoder_work_records (j, u, o);
    wb_buf_t *b = u->in->kind == WB_INPUT_STREAM ? &u->stream : &o->raw;
    size_t start = 0;
    if (u->in->kind != WB_INPUT_STREAM) {
        const int fd = open (u->in->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", u->in->path, strerror (errno));
        const bool text = !u->lines && !u->whole;
        const wb_status status = text ? wb_encoder_read_text (b, &start, u, fd) : read_lines (b, &start, u, fd);
        close (fd);
        WB_TRY (status);
    }
    if (b->data == NULL) WB_TRY (wb_buf_put (b, "", 0));
    char *s = b->data + start;
    size_t n = b->len - start;
    if (!u->lines || u->whole) WB_TRY (convert (j, u, &o->text, &s, &n)); /* JSON is UTF-8, or is refused */
    if (u->lines) return encode_lines (j, u, u->converted != WB_CHARSET_UTF8 ? &o->raw : &o->text, s, n);
    if (!j->e->keep_crlf) n = wb_fold_crlf (s, n);
    u->text = (int64_t) n;
    return u->whole ? wb_encoder_texts (j, u, s, n) : wb_encoder_text (j, u, s, n);
}
