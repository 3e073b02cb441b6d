/* Records: the containers in a file, and what is in those, in order.
 *
 * A stack of levels, the file at the bottom; the top one gives the next record or another layer, which is unpacked and
 * looked at in its turn.
 *
 * Not done here: directories, and finding out what text is in (extract.c). */
#include "config.h"

#include <string.h>

#include "corpus/containers.h"

const char *const wb_form_names[] = {"auto", "text", "aozora", "html", "wiki", "json", NULL};

enum { ARCHIVES = 3, HEAD = 1 << 16 };

/* The first that fits is it. */
static const wb_container_t *const containers[] = {&wb_container_archive, &wb_container_warc,   &wb_container_dump,
                                                   &wb_container_lines,   &wb_container_values, &wb_container_plain};

struct wb_records {
    wb_reading_t reading;
    wb_level_t level[ARCHIVES + 1]; /* and what is in the innermost */
    int depth;
};

void wb_record_fini (wb_record_t *r) {
    wb_buf_fini (&r->bytes);
    wb_buf_fini (&r->name);
    wb_buf_fini (&r->site);
}

wb_status wb_record_set (wb_buf_t *b, const char *s, size_t n) {
    wb_buf_clear (b);
    return wb_buf_put (b, s, n);
}

/* ---- levels ----------------------------------------------------------------------------------------------------- */

static void pop (wb_records_t *rs) {
    wb_level_t *l = &rs->level[--rs->depth];
    if (l->kind->close != NULL) l->kind->close (l);
    wb_reader_close (l->r);
}

/* A layer on top; it is owned by the level, whatever happens. */
static wb_status push (wb_records_t *rs, wb_reader_t *r) {
    wb_level_t *l = &rs->level[rs->depth++];
    *l = (wb_level_t){.kind = &wb_container_plain, .r = r};
    WB_TRY (wb_reader_unpack (&l->r));
    WB_TRY (wb_reader_peek (l->r, HEAD));
    size_t i = 0;
    while (!containers[i]->is (l->r)) i++;
    l->kind = containers[i];
    if (l->kind->nests && rs->depth > ARCHIVES) {
        wb_reading_skip (&rs->reading, "too deep", r->name, "an archive in %d archives", ARCHIVES);
        l->kind = &wb_container_plain;
        pop (rs);
        return WB_OK;
    }
    return l->kind->open != NULL ? l->kind->open (l) : WB_OK;
}

/* From `path`, or from fd, of which `begun` has been read. */
static wb_status open_records (wb_records_t **out, const char *path, int fd, wb_buf_t *begun,
                               const wb_records_options_t *o, wb_complain_fn *complain, void *ctx) {
    wb_reader_t *r;
    wb_records_t *rs = wb_calloc (1, sizeof *rs);
    if (rs == NULL) return WB_NOMEM ("reading %s", path);
    rs->reading = (wb_reading_t){.complain = complain, .ctx = ctx};
    if (o != NULL) rs->reading.o = *o;
    if (rs->reading.o.max_bytes <= 0) rs->reading.o.max_bytes = (int64_t) 64 << 20;
    if (rs->reading.o.max_text <= 0) rs->reading.o.max_text = rs->reading.o.max_bytes;
    if (rs->reading.o.max_expansion <= 0) rs->reading.o.max_expansion = 200;
    wb_status status =
        begun == NULL ? wb_reader_file (&r, &rs->reading, path) : wb_reader_stream (&r, &rs->reading, path, fd, begun);
    if (status == WB_OK) status = push (rs, r);
    if (status == WB_OK)
        *out = rs;
    else
        wb_records_close (rs);
    return status;
}

wb_status wb_records_open (wb_records_t **out, const char *path, const wb_records_options_t *o,
                           wb_complain_fn *complain, void *ctx) {
    return open_records (out, path, -1, NULL, o, complain, ctx);
}

wb_status wb_records_stream (wb_records_t **out, const char *name, int fd, wb_buf_t *begun,
                             const wb_records_options_t *o, wb_complain_fn *complain, void *ctx) {
    return open_records (out, name, fd, begun, o, complain, ctx);
}

wb_status wb_records_next (wb_records_t *rs, wb_record_t *r, bool *more) {
    for (*more = false; rs->depth > 0;) {
        wb_level_t *l = &rs->level[rs->depth - 1];
        wb_reader_t *inner = NULL;
        wb_step step;
        r->form = WB_FORM_AUTO;
        r->charset[0] = 0;
        wb_buf_clear (&r->bytes);
        WB_TRY (wb_record_set (&r->name, l->r->name, strlen (l->r->name)));
        WB_TRY (wb_record_set (&r->site, rs->level[0].r->name, strlen (rs->level[0].r->name)));
        WB_TRY (l->kind->next (l, &step, r, &inner));
        if (step == WB_STEP_RECORD) {
            r->number = rs->reading.number++;
            *more = true;
            return WB_OK;
        }
        if (step == WB_STEP_END)
            pop (rs);
        else
            WB_TRY (push (rs, inner));
    }
    return WB_OK;
}

int64_t wb_records_read (const wb_records_t *rs) {
    const wb_reading_t *c = &rs->reading;
    return c->size >= 0 && c->read > c->size ? c->size : c->read;
}

void wb_records_close (wb_records_t *rs) {
    if (rs == NULL) return;
    while (rs->depth > 0) pop (rs);
    wb_free (rs);
}
