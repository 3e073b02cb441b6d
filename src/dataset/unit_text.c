/* Units of plain text: a text, or a piece of one, and the documents in it.
 *
 * A line that is exactly <|endoftext|> ends a document.  A document is for validation by its first HASHED bytes, so
 * these must be in one unit: a unit of a longer file does not end within so many bytes behind such a line, but at it.
 * Where that is follows from the bytes around the unit's nominal end alone, so the unit after it knows it as well.
 *
 * Not done here: texts that are converted (units.c). */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "corpus/marks.h"
#include "dataset/encode.h"
#include "wabun/text.h"

#define BACK (2 * WB_HASHED) /* line ends may be folded before it is hashed */

/* Where a unit ends whose nominal end is byte b of s, where a line begins: after the last mark in the last bytes, which
 * *mark says, else there.  s begins with a line, or so many bytes before b. */
static size_t real_end (const char *s, size_t b, bool *mark) {
    size_t end = b;
    *mark = false;
    for (size_t line, next, from = b > BACK ? b - BACK : 0; from < b; from = next) {
        next = wb_find_mark (s, &line, from, b);
        if (line == b) break;
        *mark = true;
        end = next;
    }
    return end;
}

/* Have the line that ends at or behind b->data[to] whole; returns where it ends. */
static wb_status end_line (wb_buf_t *b, size_t *to, int fd, const char *path) {
    enum { MORE = 1 << 16 };
    for (size_t searched = *to - 1;;) {
        const char *lf = b->len > searched ? memchr (b->data + searched, '\n', b->len - searched) : NULL;
        *to = lf != NULL ? (size_t) (lf - b->data) + 1 : b->len;
        if (lf != NULL) return WB_OK;
        searched = b->len;
        WB_TRY (wb_encoder_read (b, fd, MORE, path));
        if (b->len == searched) return WB_OK;
    }
}

wb_status wb_encoder_read_text (wb_buf_t *b, size_t *start, wb_unit_t *u, int fd) {
    const int64_t back = u->first || u->cut ? 0 : (int64_t) BACK;
    const int64_t low = u->from > back + 1 ? u->from - back - 1 : 0; /* one byte more says where lines begin */
    size_t from = (size_t) (u->from - low), to = (size_t) (u->to - low);
    bool mark = false;
    *start = b->len = 0;
    if (low > 0 && lseek (fd, (off_t) low, SEEK_SET) < 0)
        return WB_FAIL (WB_EIO, "%s: cannot read: %s", u->in->path, strerror (errno));
    WB_TRY (wb_encoder_read (b, fd, to, u->in->path));
    if (b->len < to) to = b->len; /* it has become shorter */
    if (from > to) from = to;
    if (from > 0) WB_TRY (end_line (b, &from, fd, u->in->path));
    if (to > 0 && (!u->last || u->cut)) WB_TRY (end_line (b, &to, fd, u->in->path));
    if (u->last && !u->cut) to = b->len;
    if (!u->first && !u->cut) from = real_end (b->data, from, &mark);
    u->begins = u->first || mark;
    if (!u->last && !u->cut) to = real_end (b->data, to, &mark);
    *start = from < to ? from : to;
    b->len = to;
    b->data[to] = 0;
    u->start = low + (int64_t) *start;
    if (u->start == 0) *start = wb_bom (b->data, b->len);
    return WB_OK;
}

size_t wb_encoder_text_end (const char *s, size_t n, bool *mark) { return real_end (s, n, mark); }

/* ---- encoding --------------------------------------------------------------------------------------------------- */

static wb_status put_part (const wb_encoder_t *j, wb_unit_t *u, wb_text_part_t *p, const char *s, size_t n) {
    const int64_t before = u->ids.len;
    u->words += wb_encoder_words (s, n);
    if (n > 0 && p->begins) p->side = u->cut ? u->side : wb_encoder_side (j, u, s, n);
    if (n > 0) WB_TRY (wb_tokenizer_encode (j->tokenizer, &u->ids, s, n, j->e->clean));
    p->ids = u->ids.len - before;
    p->bytes = (int64_t) n;
    WB_TRY (wb_buf_put (&u->parts, p, sizeof *p));
    *p = (wb_text_part_t){.begins = true, .side = u->side};
    return WB_OK;
}

wb_status wb_encoder_text (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) {
    wb_text_part_t p = {.begins = u->begins, .side = u->side};
    size_t from = 0;
    for (size_t line, next; from < n; from = next) {
        next = wb_find_mark (s, &line, from, n);
        if (line == n) break;
        p.ends = p.marked = true;
        p.stray = u->stray > 0 ? wb_text_stray (s + from, line - from) : 0;
        WB_TRY (put_part (j, u, &p, s + from, line - from));
    }
    if (from == n && !u->last) return WB_OK;
    p.ends = u->last;
    p.marked = from > 0;
    p.stray = from > 0 && u->stray > 0 ? wb_text_stray (s + from, n - from) : u->stray;
    return put_part (j, u, &p, s + from, n - from);
}

wb_status wb_encoder_texts (const wb_encoder_t *j, wb_unit_t *u, const char *s, size_t n) {
    size_t from = 0;
    for (size_t line, next; from < n; from = next) {
        next = wb_find_mark (s, &line, from, n);
        if (line == n) break;
        u->marks++;
        if (line > from) WB_TRY (wb_encoder_document (j, u, s + from, line - from));
    }
    return from == 0 || from < n ? wb_encoder_document (j, u, s + from, n - from) : WB_OK;
}
