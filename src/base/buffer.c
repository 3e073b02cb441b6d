/* Growing arrays, doubled when full.
 *
 * A failed growth leaves the array as it was.  Not done here: shrinking, sharing. */
#include "config.h"

#include <string.h>

#include "wabun/base.h"

bool wb_grow (void *p_address, int64_t *cap, int64_t need, size_t element_bytes) {
    if (need <= *cap) return true;
    if (need > (int64_t) (PTRDIFF_MAX / 4 / element_bytes)) return false;
    int64_t room = 2 * *cap > need ? 2 * *cap : need;
    if ((size_t) room * element_bytes < 64) room = (int64_t) (63 / element_bytes) + 1;
    void *p;
    memcpy (&p, p_address, sizeof p); /* a pointer of any type */
    p = wb_realloc (p, (size_t) room * element_bytes);
    if (p == NULL) return false;
    memcpy (p_address, &p, sizeof p);
    *cap = room;
    return true;
}

wb_status wb_buf_reserve (wb_buf_t *b, size_t n) {
    const bool empty = b->data == NULL;
    if (n > PTRDIFF_MAX / 2 - b->len || !WB_GROW (b->data, b->cap, (int64_t) (b->len + n + 1))) /* and a 0 byte */
        return WB_NOMEM ("text buffer");
    if (empty) b->data[0] = 0;
    return WB_OK;
}

wb_status wb_buf_put (wb_buf_t *b, const void *data, size_t n) {
    WB_TRY (wb_buf_reserve (b, n));
    if (n > 0) memcpy (b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = 0;
    return WB_OK;
}

wb_status wb_buf_put_html (wb_buf_t *b, const char *s, size_t n) {
    for (const char *end = s + n; s < end; s++) {
        const char *as = *s == '&'    ? "&amp;"
                         : *s == '<'  ? "&lt;"
                         : *s == '>'  ? "&gt;"
                         : *s == '"'  ? "&quot;"
                         : *s == '\'' ? "&#39;"
                                      : NULL;
        WB_TRY (as != NULL ? wb_buf_put (b, as, strlen (as)) : wb_buf_put (b, s, 1));
    }
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
    if (n > PTRDIFF_MAX / 16 - v->len || !WB_GROW (v->data, v->cap, v->len + n)) return WB_NOMEM ("token buffer");
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
