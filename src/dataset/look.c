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
#include "corpus/jsonl.h"
#include "wabun/text.h"

#define PIECE ((size_t) 1 << 16)
#define PIECES 256

/* ---- binary files ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *magic;
    size_t n;
    const char *what;
} magics[] = {{"\xff\xd8\xff", 3, "a JPEG picture"},
              {"\x89PNG", 4, "a PNG picture"},
              {"GIF8", 4, "a GIF picture"},
              {"%PDF-", 5, "a PDF document"},
              {"PK\3\4", 4, "a ZIP archive (or an office document, an EPUB)"},
              {"\x7f"
               "ELF",
               4, "a program"},
              {"\x1f\x8b", 2, "compressed (gzip); unpack it first"},
              {"BZh", 3, "compressed (bzip2); unpack it first"},
              {"\xfd"
               "7zXZ",
               5, "compressed (xz); unpack it first"},
              {"\x28\xb5\x2f\xfd", 4, "compressed (zstd); unpack it first"},
              {"MMIDIDX", 7, "a token file"},
              {"", 0, "binary data"}};
enum { MAGICS = sizeof magics / sizeof magics[0] };

/* Zero bytes and control characters that no text has, more than a stray one. */
static bool is_binary (const char *s, size_t n) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char) s[i];
        bad += c < 0x20 && !(c >= '\t' && c <= '\r') && c != 0x1b && c != 0x1a;
    }
    return bad > 1 && bad > n / 500;
}

static const char *binary (const char *s, size_t n) {
    for (size_t i = 0; i + 1 < MAGICS; i++)
        if (n >= magics[i].n && memcmp (s, magics[i].magic, magics[i].n) == 0) return magics[i].what;
    return is_binary (s, n) ? magics[MAGICS - 1].what : NULL;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static bool has (const char *s, const char *what) { return strstr (s, what) != NULL; }

static wb_markup markup (const char *s) {
    char start[1024];
    size_t n = 0;
    for (; n + 1 < sizeof start && s[n] != 0; n++)
        start[n] = s[n] >= 'A' && s[n] <= 'Z' ? (char) (s[n] - 'A' + 'a') : s[n];
    start[n] = 0;
    if (has (start, "<mediawiki")) return WB_MARKUP_WIKI;
    if (has (start, "<html") || has (start, "<!doctype html")) return WB_MARKUP_HTML;
    return has (s, "［＃") || (has (s, "《") && has (s, "｜")) ? WB_MARKUP_RUBY : WB_MARKUP_NONE;
}

/* Is the first line a JSON object with the text field? */
static bool first_line (const char *s, size_t n, const char *field) {
    const char *end = memchr (s, '\n', n);
    wb_jsonl_complaint_t unused;
    size_t bytes;
    json_t *line = wb_jsonl_parse (s, end != NULL ? (size_t) (end - s) : n, true, &unused);
    const bool lines = line != NULL && wb_jsonl_text (line, field, &bytes, &unused) != NULL;
    json_decref (line);
    return lines;
}

wb_status wb_look_bytes (wb_look_t *out, const char *s, size_t n, const char *field, const char *from) {
    *out = (wb_look_t){.charset = WB_CHARSET_UTF8};
    if (n == 0) return WB_OK;
    out->charset = from == NULL                      ? wb_charset_guess (s, n, NULL)
                   : strcasecmp (from, "UTF-8") == 0 ? WB_CHARSET_UTF8
                                                     : WB_CHARSET_NAMED;
    const char *name = from != NULL ? from : wb_charset_name (out->charset);
    const bool wide = strncasecmp (name, "UTF-16", 6) == 0 || strncasecmp (name, "UTF-32", 6) == 0;
    if (!wide) out->binary = binary (s, n);
    if (out->binary != NULL) return WB_OK;
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
        out->lines = *p == '{' && first_line (p, text.len - (size_t) (p - text.data), field);
        out->markup = out->lines ? WB_MARKUP_NONE : markup (text.data);
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

/* A finding as one number: bits of lines, json, charset, markup, and which kind of binary file (0: text). */
static int64_t pack (const wb_look_t *k) {
    int64_t b = 0;
    for (int i = 0; i < MAGICS; i++)
        if (k->binary == magics[i].what) b = i + 1;
    return (int64_t) k->lines | (int64_t) k->json << 1 | (int64_t) k->charset << 8 | (int64_t) k->markup << 16 |
           b << 24;
}

static wb_look_t unpack (int64_t x) {
    const int64_t b = x >> 24 & 0xff;
    return (wb_look_t){(x & 1) != 0, (x & 2) != 0, (wb_charset) (x >> 8 & 0xff), (wb_markup) (x >> 16 & 0xff),
                       b > 0 ? magics[b - 1].what : NULL};
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
static wb_status apply (wb_inputs_t *l, const int64_t *found, int64_t count[WB_MARKUPS]) {
    int64_t kept = 0;
    l->bytes = 0;
    for (int64_t i = 0; i < l->len; i++) {
        wb_input_t in = l->data[i];
        const wb_look_t look = unpack (found[i]);
        const bool strange = in.kind == WB_INPUT_TEXT && !look.lines && look.json && is_json_name (in.path);
        if (in.named && look.binary != NULL)
            return WB_FAIL (WB_EDATA, "%s is not text: it is %s", in.path, look.binary);
        if (in.named && strange)
            return WB_FAIL (WB_EDATA, "%s is JSON, but not a document in each line, such as {\"text\": \"...\"}",
                            in.path);
        if (look.binary != NULL || strange) {
            wb_inputs_leave_out (l, in.path);
            wb_free (in.path);
            l->data[i].path = NULL;
            continue;
        }
        if (in.kind != WB_INPUT_STREAM) {
            if (look.lines) in.kind = WB_INPUT_LINES;
            in.charset = look.charset;
            if (in.kind == WB_INPUT_TEXT) count[look.markup]++;
        }
        in.start = l->bytes;
        l->bytes += in.bytes;
        l->data[i].path = NULL;
        l->data[kept++] = in;
    }
    l->len = kept;
    return WB_OK;
}

wb_status wb_inputs_look (wb_inputs_t *l, wb_comm_t *world, const char *field, const char *from) {
    static const char *const names[WB_MARKUPS] = {"", "HTML", "MediaWiki XML", "Aozora Bunko's notes (《》 ［＃］)"};
    const int rank = wb_comm_rank (world), ranks = wb_comm_size (world);
    int64_t *found = wb_calloc ((size_t) l->len + 1, sizeof *found), count[WB_MARKUPS] = {0};
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
        status = wb_agree (world, apply (l, found, count));
    }
    wb_free (found);
    for (int m = 1; m < WB_MARKUPS && status == WB_OK; m++)
        if (count[m] > 0)
            wb_warn ("%lld file%s of %s: the markup is taken as text; take it out first", (long long) count[m],
                     wb_plural (count[m]), names[m]);
    return status;
}
