/* Texts that are used as they come: a context, lines to be scored.  They become UTF-8 here, by the rule that encoding
 * has: what is another encoding for certain is converted, and that is said; what is not is an error that asks for its
 * name, since a model would read bytes instead of words.
 *
 * Lines are converted one by one, so that a pipe gets its answers; the encoding is found out at the first line that is
 * not UTF-8, from what has arrived behind it.  Only UTF-16 and UTF-32, whose lines cannot be told apart before they are
 * converted, are read to their end.
 *
 * Not done here: lines of several encodings other than UTF-8 in one file. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "corpus/charset.h"
#include "corpus/content.h"
#include "tokenizer/utf8.h"
#include "wabun/corpus.h"

static bool is_utf8 (const char *s, size_t n) {
    size_t at;
    return wb_utf8_valid (s, n, &at) && (n == 0 || memchr (s, 0x1b, n) == NULL);
}

static bool is_wide (const char *name) {
    return strncasecmp (name, "UTF-16", 6) == 0 || strncasecmp (name, "UTF-32", 6) == 0 ||
           strncasecmp (name, "UCS", 3) == 0;
}

/* What iconv is given, NULL: find out. */
static wb_status asked (const char **from, const wb_text_options_t *o) {
    *from = NULL;
    if (o->from == NULL || strcasecmp (o->from, "auto") == 0) return WB_OK;
    return wb_charset_find (from, o->from);
}

static const char *place (char buf[512], const char *name, int64_t line) {
    if (line > 0) snprintf (buf, 512, "%.480s:%lld", name, (long long) line);
    return line > 0 ? buf : name;
}

/* It is in another encoding than it should be. */
static wb_status refuse (const char *name, int64_t line, const char *from, const char *seems) {
    char buf[512];
    if (from != NULL && seems[0] != 0)
        return WB_FAIL (WB_EDATA, "%s is %s, not %s: leave out --from, or give --from %s", place (buf, name, line),
                        seems, from, seems);
    if (from != NULL)
        return WB_FAIL (WB_EDATA,
                        "%s is not %s: name its encoding by --from NAME, or take it as it is by --keep-garbled",
                        place (buf, name, line), from);
    return WB_FAIL (WB_EDATA,
                    "%s is not UTF-8, and its encoding cannot be told for certain%s%s: name it by --from NAME, or take "
                    "the text as it is by --keep-garbled",
                    place (buf, name, line), seems[0] != 0 ? "; it may be " : "", seems);
}

static wb_status refuse_binary (const char *name, const char *s, size_t n) {
    const int binary = wb_content_binary (s, n);
    return binary == 0 ? WB_OK : WB_FAIL (WB_EDATA, "%s is not text: it is %s", name, wb_content_name (binary));
}

/* ---- a whole text ------------------------------------------------------------------------------------------------ */

wb_status wb_text_read (wb_buf_t *out, const char *name, const char *s, size_t n, const wb_text_options_t *o) {
    const char *from;
    char seems[32] = "";
    int64_t stray = 0;
    const size_t start = out->len;
    WB_TRY (asked (&from, o));
    const bool named = from != NULL;
    if (!named || !is_wide (from)) WB_TRY (refuse_binary (name, s, n));
    if (named && !o->keep_garbled && wb_charset_mistaken (from, s, n, seems)) return refuse (name, 0, from, seems);
    const wb_charset found = named || is_utf8 (s, n) ? WB_CHARSET_UTF8 : wb_charset_guess (s, n, seems);
    if (!named) from = found == WB_CHARSET_UNKNOWN ? "UTF-8" : wb_charset_name (found);
    if (strcasecmp (from, "UTF-8") == 0) {
        const size_t mark = wb_bom (s, n);
        const bool garbled = wb_text_garbled (wb_text_stray (s, n), (int64_t) n);
        if (garbled && !o->keep_garbled) return refuse (name, 0, named ? from : NULL, seems);
        if (garbled) wb_text_warn (name, s, n, NULL);
        return wb_buf_put (out, s + mark, n - mark);
    }
    WB_TRY (wb_charset_convert (out, &stray, from, s, n));
    if (wb_text_garbled (stray, (int64_t) n / 2) && !o->keep_garbled) return refuse (name, 0, from, seems);
    const size_t mark = wb_bom (out->data + start, out->len - start);
    memmove (out->data + start, out->data + start + mark, out->len - start - mark + 1);
    out->len -= mark;
    if (!named) wb_info ("%s: converted from %s", name, from);
    return WB_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

wb_status wb_text_lines_open (wb_text_lines_t *l, const char *path, const wb_text_options_t *o) {
    *l = (wb_text_lines_t){.o = *o, .in.fd = -1};
    WB_TRY (asked (&l->from, o));
    l->named = l->from != NULL;
    WB_TRY (wb_lines_open (&l->in, path));
    l->name = l->in.name;
    return WB_OK;
}

void wb_text_lines_close (wb_text_lines_t *l) {
    wb_lines_close (&l->in);
    wb_buf_fini (&l->buf);
}

/* The rest of the input, with the line that has been taken from it, converted whole into l->buf. */
static wb_status read_whole (wb_text_lines_t *l, const char *line, const char *from) {
    wb_buf_t all = {0};
    size_t got = 1;
    wb_text_options_t o = l->o;
    wb_status status = wb_buf_put (&all, line, l->in.buf.len - (size_t) (line - l->in.buf.data));
    while (status == WB_OK && got > 0) {
        char block[65536];
        const int error = wb_fd_read (l->in.fd, block, &got, sizeof block, -1);
        status = error == 0 ? wb_buf_put (&all, block, got)
                            : WB_FAIL (WB_EIO, "%s: cannot read: %s", l->name, strerror (error));
    }
    l->in.end = l->whole = true;
    l->in.at = l->in.buf.len;
    o.from = l->named ? from : NULL;
    if (status == WB_OK) status = wb_text_read (&l->buf, l->name, all.data, all.len, &o);
    wb_buf_fini (&all);
    return status;
}

static wb_status next_of_whole (wb_text_lines_t *l, const char **text, size_t *n) {
    const char *s = l->buf.data != NULL ? l->buf.data + l->at : "";
    const size_t left = l->buf.len - l->at;
    const char *end = left > 0 ? memchr (s, '\n', left) : NULL;
    *n = end != NULL ? (size_t) (end - s) : left;
    l->at += *n + (end != NULL);
    *text = left > 0 ? s : NULL;
    l->number += left > 0;
    if (*n > 0 && s[*n - 1] == '\r') --*n;
    return WB_OK;
}

/* The first line of the input: is all of it something else than lines of text? */
static wb_status look (wb_text_lines_t *l, const char **text, size_t *n) {
    const char *from = l->from;
    const size_t bytes = l->in.buf.len - (size_t) (*text - l->in.buf.data);
    if (from == NULL) {
        const wb_charset c = wb_charset_guess (*text, bytes, NULL);
        if (wb_charset_wide (c).bytes > 1) from = wb_charset_name (c);
    }
    if (from != NULL && is_wide (from)) {
        WB_TRY (read_whole (l, *text, from));
        l->number = 0;
        return next_of_whole (l, text, n);
    }
    WB_TRY (refuse_binary (l->name, *text, bytes));
    const size_t mark = wb_bom (*text, *n);
    *text += mark;
    *n -= mark;
    return WB_OK;
}

/* Which encoding a line is in that is not UTF-8, by what has arrived of the input from it on. */
static wb_status find_out (wb_text_lines_t *l, const char *text, size_t n) {
    char seems[32];
    const size_t bytes = l->in.buf.len - (size_t) (text - l->in.buf.data);
    const wb_charset c = wb_charset_guess (text, bytes, seems);
    if (c != WB_CHARSET_UTF8 && c != WB_CHARSET_UNKNOWN && wb_charset_wide (c).bytes == 1) {
        l->from = wb_charset_name (c);
        wb_info ("%s: converted from %s", l->name, l->from);
        return WB_OK;
    }
    if (!wb_text_garbled (wb_text_stray (text, n), (int64_t) n)) return WB_OK; /* a few stray bytes */
    if (!l->o.keep_garbled) return refuse (l->name, l->number, NULL, seems);
    wb_text_warn (l->name, text, n, &l->told);
    return WB_OK;
}

static wb_status convert (wb_text_lines_t *l, const char **text, size_t *n) {
    int64_t stray = 0;
    char seems[32];
    const bool utf8 = is_utf8 (*text, *n);
    if (l->named ? strcasecmp (l->from, "UTF-8") == 0 && utf8 : utf8) return WB_OK;
    if (l->from == NULL) WB_TRY (find_out (l, *text, *n));
    if (l->from == NULL) return WB_OK;
    wb_buf_clear (&l->buf);
    if (strcasecmp (l->from, "UTF-8") == 0) {
        stray = wb_text_stray (*text, *n);
        if (wb_text_garbled (stray, (int64_t) *n) && !l->o.keep_garbled)
            return refuse (l->name, l->number, l->from, "");
        return WB_OK;
    }
    if (l->named && !l->o.keep_garbled && wb_charset_mistaken (l->from, *text, *n, seems))
        return refuse (l->name, l->number, l->from, seems);
    WB_TRY (wb_charset_convert (&l->buf, &stray, l->from, *text, *n));
    if (wb_text_garbled (stray, (int64_t) *n / 2) && !l->o.keep_garbled)
        return refuse (l->name, l->number, l->from, "");
    *text = l->buf.data;
    *n = l->buf.len;
    return WB_OK;
}

wb_status wb_text_lines_next (wb_text_lines_t *l, const char **text, size_t *n, bool wait) {
    if (l->whole) return next_of_whole (l, text, n);
    WB_TRY (wb_lines_next (&l->in, text, n, wait));
    if (*text == NULL) return WB_OK;
    if (++l->number == 1) {
        WB_TRY (look (l, text, n));
        if (l->whole) return WB_OK;
    }
    return convert (l, text, n);
}
