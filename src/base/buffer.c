/* Growing buffers: bytes and ids, doubled when full.
 *
 * A failed growth leaves the buffer as it was.  Not done here: shrinking, sharing. */
#include "config.h"

#include <string.h>

#include "wabun/base.h"

wb_status wb_buf_reserve (wb_buf_t *b, size_t n) {
    if (n < b->cap - b->len && b->data != NULL) return WB_OK; /* one byte is kept for the final 0 */
    if (n > PTRDIFF_MAX / 2 - b->len) return WB_NOMEM ("text buffer");
    size_t cap = b->len + n + 1;
    if (cap < 2 * b->cap) cap = 2 * b->cap;
    if (cap < 64) cap = 64;
    char *p = wb_realloc (b->data, cap);
    if (p == NULL) return WB_NOMEM ("text buffer");
    p[b->len] = 0;
    b->data = p;
    b->cap = cap;
    return WB_OK;
}

wb_status wb_buf_put (wb_buf_t *b, const void *data, size_t n) {
    WB_TRY (wb_buf_reserve (b, n));
    if (n > 0) memcpy (b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
    return WB_OK;
}

void wb_buf_clear (wb_buf_t *b) {
    b->len = 0;
    if (b->data != NULL) b->data[0] = 0;
}

void wb_buf_fini (wb_buf_t *b) {
    wb_free (b->data);
    *b = (wb_buf_t){0};
}

wb_status wb_ids_reserve (wb_ids_t *v, int64_t n) {
    if (n <= v->cap - v->len) return WB_OK;
    if (n > PTRDIFF_MAX / 16 - v->len) return WB_NOMEM ("token buffer");
    int64_t cap = v->len + n;
    if (cap < 2 * v->cap) cap = 2 * v->cap;
    if (cap < 32) cap = 32;
    int32_t *p = wb_realloc (v->data, (size_t) cap * sizeof *p);
    if (p == NULL) return WB_NOMEM ("token buffer");
    v->data = p;
    v->cap = cap;
    return WB_OK;
}

wb_status wb_ids_put (wb_ids_t *v, int32_t id) {
    if (v->len == v->cap) WB_TRY (wb_ids_reserve (v, 1));
    v->data[v->len++] = id;
    return WB_OK;
}

void wb_ids_clear (wb_ids_t *v) { v->len = 0; }

void wb_ids_fini (wb_ids_t *v) {
    wb_free (v->data);
    *v = (wb_ids_t){0};
}
