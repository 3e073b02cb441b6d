/* JSON: jansson, and whether memory was short.
 *
 * jansson gives NULL both for a bad text and when it gets no memory, and its reader of strings overlooks the second: a
 * string then lacks its end.  So its memory comes from here, which counts how often there was none. */
#include "config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "wabun/base.h"
#include "wabun/json.h"

static _Atomic int64_t lacks;

static void *take (size_t bytes) {
    void *p = malloc (bytes);
    if (p == NULL) atomic_fetch_add (&lacks, 1);
    return p;
}

void wb_json_init (void) { json_set_alloc_funcs (take, free); }

int64_t wb_json_lacks (void) { return atomic_load (&lacks); }
wb_status wb_json_since (int64_t before, const char *what) {
    return wb_json_lacks () == before ? WB_OK : WB_NOMEM ("%s", what);
}

json_t *wb_json_load (const char *text, size_t bytes, size_t flags, json_error_t *why) {
    json_error_t unused;
    if (why == NULL) why = &unused;
    const int64_t before = wb_json_lacks ();
    json_t *j = json_loadb (text, bytes, flags, why);
    const bool nomem = wb_json_lacks () != before || (j == NULL && why->text[0] == 0);
    if (!nomem) return j;
    json_decref (j);
    (void) WB_NOMEM ("a text of JSON");
    return NULL;
}

json_t *wb_json_utf8 (const char *s) {
    const int64_t before = wb_json_lacks ();
    json_t *j = json_string (s);
    return j != NULL || wb_json_since (before, "a text") != WB_OK ? j : json_string ("(not UTF-8)");
}

json_t *wb_json_load_file (const char *path, size_t flags, json_error_t *why) {
    char *text;
    size_t bytes;
    if (why != NULL) *why = (json_error_t){.text = ""};
    if (wb_file_read (&text, &bytes, path) != WB_OK) return NULL;
    json_t *j = wb_json_load (text, bytes, flags, why);
    wb_free (text);
    return j;
}
