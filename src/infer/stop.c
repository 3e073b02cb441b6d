/* Stop strings: a text that comes piece by piece ends before the first of them.
 *
 * What may be the beginning of a stop string is held back until it is known.  The first string to be complete ends the
 * text, and of several that are complete at the same byte the longest.
 *
 * Not here: ids (texts.c). */
#include "config.h"

#include <string.h>

#include "wabun/infer.h"

/* The longest string that s ends with; 0: none. */
static size_t complete (const wb_stop_t *stop, const char *s, size_t n) {
    size_t longest = 0;
    for (int i = 0; i < stop->n; i++) {
        const size_t k = strlen (stop->strings[i]);
        if (k <= n && k > longest && memcmp (s + n - k, stop->strings[i], k) == 0) longest = k;
    }
    return longest;
}

/* The longest beginning of a string that s ends with. */
static size_t begun (const wb_stop_t *stop, const char *s, size_t n) {
    size_t longest = 0;
    for (int i = 0; i < stop->n; i++) {
        size_t k = strlen (stop->strings[i]) - 1;
        for (k = k < n ? k : n; k > longest; k--)
            if (memcmp (s + n - k, stop->strings[i], k) == 0) longest = k;
    }
    return longest;
}

wb_status wb_stop_put (wb_stop_t *stop, wb_buf_t *out, const char *text, size_t n, bool end) {
    wb_buf_t *held = &stop->held;
    if (stop->n == 0 || stop->hit) return stop->hit ? WB_OK : wb_buf_put (out, text, n);
    for (size_t i = 0; i < n && !stop->hit; i++) {
        WB_TRY (wb_buf_put (held, text + i, 1));
        const size_t all = complete (stop, held->data, held->len);
        const size_t kept = all > 0 ? all : begun (stop, held->data, held->len), free = held->len - kept;
        WB_TRY (wb_buf_put (out, held->data, free));
        memmove (held->data, held->data + free, kept);
        held->len = kept;
        stop->hit = all > 0;
    }
    if (!end || stop->hit) return WB_OK;
    WB_TRY (wb_buf_put (out, held->data, held->len));
    wb_buf_clear (held);
    return WB_OK;
}

void wb_stop_fini (wb_stop_t *stop) { wb_buf_fini (&stop->held); }
