/* Which texts a step read.
 *
 * The k-th sample of training is a window of a token file; what people can look at is a document.  A window may span
 * several: the one it begins in is named.
 *
 * Not done here: which of a step's windows are to blame (train, health.c). */
#include "config.h"

#include <string.h>

#include "run/windows.h"

enum { LISTED = 1024 };

typedef struct place {
    const char *tokens;
    int part;
    int64_t window, document, offset; /* document -1: not known */
} place_t;

static place_t place_of (const wb_run_t *r, int64_t k) {
    place_t p = {.document = -1};
    wb_loader_where (r->data.train, &p.part, &p.window, k);
    const wb_tokens_t *file = r->data.files[p.part];
    p.tokens = wb_tokens_path (file);
    if (wb_comm_rank (r->world) != 0) return p;
    wb_error_t before;
    wb_error_take (&before);
    if (wb_tokens_find (file, &p.document, &p.offset, p.window * r->trainer->o.T) != WB_OK) p.document = -1;
    wb_error_clear ();
    if (before.status != WB_OK) wb_error_put (&before);
    return p;
}

const char *wb_run_windows_text (char buf[WB_WINDOWS_TEXT], const wb_run_t *r, const int64_t *ks, int n) {
    size_t at = 0;
    place_t next = {0};
    buf[0] = 0;
    if (n > 0) next = place_of (r, ks[0]);
    for (int i = 0; i < n && at < WB_WINDOWS_TEXT; i++) {
        const place_t p = next;
        const bool last = i + 1 == n;
        if (!last) next = place_of (r, ks[i + 1]);
        at += (size_t) snprintf (buf + at, WB_WINDOWS_TEXT - at, "%s%lld", i > 0 ? ", " : "", (long long) p.window);
        if (p.document >= 0 && at < WB_WINDOWS_TEXT)
            at += (size_t) snprintf (buf + at, WB_WINDOWS_TEXT - at, " (document %lld at %lld)", (long long) p.document,
                                     (long long) p.offset);
        if ((last || next.part != p.part) && at < WB_WINDOWS_TEXT)
            at += (size_t) snprintf (buf + at, WB_WINDOWS_TEXT - at, " of %s", p.tokens);
    }
    return buf;
}

json_t *wb_run_windows_json (const wb_run_t *r, int64_t first, int64_t n) {
    json_t *list = json_array ();
    for (int64_t k = first; k < first + n && k < first + LISTED; k++) {
        const place_t p = place_of (r, k);
        json_t *j = json_object ();
        json_object_set_new (j, "tokens", json_string (p.tokens));
        json_object_set_new (j, "window", json_integer (p.window));
        if (p.document >= 0) {
            json_object_set_new (j, "document", json_integer (p.document));
            json_object_set_new (j, "offset", json_integer (p.offset));
        }
        json_array_append_new (list, j);
    }
    return list;
}
