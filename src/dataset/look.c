/* What the inputs hold, by the beginning of each: an encoding, lines of JSON, markup, or no text at all.
 *
 * Each rank looks at every ranks-th file; the findings, one number a file, are added up, so all ranks know all of them.
 *
 * Not done here: reading past the beginning, except in long files as far as the first character that is not ASCII (16
 * MB at most). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "dataset/inputs.h"
#include "corpus/content.h"
#include "corpus/jsonl.h"
#include "corpus/values.h"
#include "wabun/json.h"
#include "wabun/text.h"

#define PIECE ((size_t) 1 << 16)
#define PIECES 256

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* Is the first line a JSON object with the text field? */
static bool first_line (const char *s, size_t n, const char *field, wb_status *status) {
    const char *end = memchr (s, '\n', n);
    wb_jsonl_complaint_t unused;
    size_t bytes;
    json_t *line = wb_jsonl_parse (s, end != NULL ? (size_t) (end - s) : n, true, &unused);
    const bool lines = line != NULL && wb_jsonl_text (line, field, &bytes, &unused) != NULL;
    *status = wb_json_status (line);
    json_decref (line);
    return lines;
}

/* Is it JSON over several lines, or a list, whose first object has the field? */
static bool has_objects (const char *s, size_t n, const char *field) {
    size_t first;
    return wb_values_begin (s, n, false, &first) && wb_values_have_key (s + first, n - first, field);
}

wb_status wb_look_bytes (wb_look_t *out, const char *s, size_t n, const char *field, const char *from) {
    *out = (wb_look_t){.charset = WB_CHARSET_UTF8, .form = WB_FORM_TEXT};
    if (n == 0) return WB_OK;
    out->charset = from == NULL                      ? wb_charset_guess (s, n, NULL)
                   : strcasecmp (from, "UTF-8") == 0 ? WB_CHARSET_UTF8
                                                     : WB_CHARSET_NAMED;
    const char *name = from != NULL ? from : wb_charset_name (out->charset);
    const bool wide = strncasecmp (name, "UTF-16", 6) == 0 || strncasecmp (name, "UTF-32", 6) == 0;
    out->packed = wb_content_packed (s, n);
    if (!wide && !out->packed) out->binary = wb_content_binary (s, n);
    if (out->binary > 0 || out->packed) return WB_OK;
    wb_buf_t text = {0};
    int64_t stray = 0;
    wb_status status = WB_OK;
    if (out->charset != WB_CHARSET_UTF8 && out->charset != WB_CHARSET_UNKNOWN)
        status = wb_charset_convert (&text, &stray, name, s, n);
    else
        status = wb_buf_put (&text, s, n);
    if (status == WB_OK) {
        const char *p = text.data + wb_bom (text.data, text.len);
        while (*p == ' ' || (*p >= '\t' && *p <= '\r')) p++;
        out->json = *p == '{' || *p == '[';
        out->lines = *p == '{' && first_line (p, text.len - (size_t) (p - text.data), field, &status);
        out->packed = !out->lines && !wide && has_objects (p, text.len - (size_t) (p - text.data), field);
        out->form = out->lines ? WB_FORM_JSON : wb_content_markup (text.data, text.len);
    }
    wb_buf_fini (&text);
    return status;
}

/* Enough of the file's beginning: the first line where that may be JSON, and of a long file as far as something is not
 * ASCII; a short one is looked at again when it is encoded. */
static wb_status read_start (wb_buf_t *b, int fd, const char *path, bool is_long) {
    wb_buf_clear (b);
    for (int k = 0; k < PIECES; k++) {
        size_t got;
        WB_TRY (wb_buf_reserve (b, PIECE));
        const int error = wb_fd_read (fd, b->data + b->len, &got, PIECE, -1);
        if (error != 0) return WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
        const char *more = b->data + b->len;
        bool ascii = true;
        for (size_t i = 0; i < got && ascii; i++) ascii = (unsigned char) more[i] < 0x80 && more[i] != 0x1b;
        b->len += got;
        b->data[b->len] = 0;
        if (got < PIECE) return WB_OK;
        const bool lines = b->data[0] == '{' || b->data[wb_bom (b->data, b->len)] == '{';
        if (lines ? memchr (b->data, '\n', b->len) != NULL : !ascii || !is_long) return WB_OK;
    }
    return WB_OK;
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

/* A finding as one number: bits of lines, json, packed, charset, form, and which kind of binary file (0: text). */
static int64_t pack (const wb_look_t *k) {
    return (int64_t) k->lines | (int64_t) k->json << 1 | (int64_t) k->packed << 2 | (int64_t) k->charset << 8 |
           (int64_t) k->form << 16 | (int64_t) k->binary << 24;
}

static wb_look_t unpack (int64_t x) {
    return (wb_look_t){
        (x & 1) != 0,          (x & 2) != 0, (x & 4) != 0, (wb_charset) (x >> 8 & 0xff), (wb_form) (x >> 16 & 0xff),
        (int) (x >> 24 & 0xff)};
}

static wb_status look_at (int64_t *found, const wb_input_t *in, wb_buf_t *b, const char *field, const char *from) {
    const int fd = open (in->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", in->path, strerror (errno));
    wb_look_t look;
    wb_status status = read_start (b, fd, in->path, in->bytes > WB_UNIT);
    close (fd);
    if (status == WB_OK) status = wb_look_bytes (&look, b->data, b->len, field, from);
    if (status == WB_OK) *found = pack (&look);
    return status;
}

static bool is_json_name (const char *path) {
    const char *dot = strrchr (path, '.');
    return dot != NULL && strcasecmp (dot, ".json") == 0;
}

/* Set kinds and encodings; take away what is not text.  The same on every rank. */
static wb_status apply (wb_inputs_t *l, const int64_t *found, int64_t count[WB_FORMS], const char *field) {
    int64_t kept = 0;
    l->bytes = 0;
    for (int64_t i = 0; i < l->len; i++) {
        wb_input_t in = l->data[i];
        const wb_look_t look = unpack (found[i]);
        const bool strange =
            in.kind == WB_INPUT_TEXT && !look.lines && !look.packed && look.json && is_json_name (in.path);
        if (in.named && look.binary > 0)
            return WB_FAIL (WB_EDATA, "%s is not text: it is %s", in.path, wb_content_name (look.binary));
        if (in.named && strange)
            return WB_FAIL (WB_EDATA,
                            "%s is JSON, but not documents such as {\"%s\": \"...\"}, one in each line or in a list",
                            in.path, field);
        if (look.binary > 0 || strange) {
            wb_inputs_leave_out (l, in.path);
            wb_free (in.path);
            l->data[i].path = NULL;
            continue;
        }
        if (in.kind != WB_INPUT_STREAM) {
            if (look.lines) in.kind = WB_INPUT_LINES;
            if (look.packed) in.kind = WB_INPUT_RECORDS;
            in.charset = look.charset;
            if (in.kind == WB_INPUT_TEXT) count[look.form]++;
        }
        in.start = l->bytes;
        l->bytes += in.bytes;
        l->data[i].path = NULL;
        l->data[kept++] = in;
    }
    l->len = kept;
    return WB_OK;
}

void wb_markup_warn (const int64_t count[WB_FORMS], const char *what) {
    for (int f = 0; f < WB_FORMS; f++)
        if (count[f] > 0 && wb_content_markup_name ((wb_form) f) != NULL)
            wb_warn ("%lld %s%s of %s: the markup is taken as text; wabun corpus build takes it out",
                     (long long) count[f], what, wb_plural (count[f]), wb_content_markup_name ((wb_form) f));
}

wb_status wb_inputs_look (wb_inputs_t *l, wb_comm_t *world, const char *field, const char *from) {
    const int rank = wb_comm_rank (world), ranks = wb_comm_size (world);
    int64_t *found = wb_calloc ((size_t) l->len + 1, sizeof *found), count[WB_FORMS] = {0};
    wb_status status = found != NULL ? WB_OK : WB_NOMEM ("list of inputs");
    wb_buf_t b = {0};
    for (int64_t i = rank; i < l->len && status == WB_OK; i += ranks)
        if (l->data[i].kind != WB_INPUT_STREAM && l->data[i].bytes > 0)
            status = look_at (&found[i], &l->data[i], &b, field, from);
    wb_buf_fini (&b);
    status = wb_agree (world, status);
    if (status == WB_OK) {
        for (int64_t at = 0, n; at < l->len; at += n) {
            n = l->len - at < 1 << 20 ? l->len - at : 1 << 20;
            wb_comm_sum_i64 (world, found + at, (int) n);
        }
        status = wb_agree (world, apply (l, found, count, field));
    }
    wb_free (found);
    if (status == WB_OK) wb_markup_warn (count, "file");
    return status;
}
