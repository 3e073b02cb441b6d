/* wabun - JSON: jansson, which says whether a text was bad or memory was short. */
#ifndef WABUN_JSON_H
#define WABUN_JSON_H

#include <jansson.h>
#include <stddef.h>

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** From now on jansson's memory is of this program's allocator, which counts how often there was none: jansson itself
 * may go on with half a string then.  main() calls it; the library of tokenizers, a guest in other people's programs,
 * does not. */
void wb_json_init (void);
/** How often that was, in any thread.  Code that puts values together asks once, at its end: WB_ENOMEM where it has
 * been more than `before`. */
int64_t wb_json_lacks (void);
wb_status wb_json_since (int64_t before, const char *what) WB_NODISCARD;
/** json_string() of any bytes: what is not UTF-8 becomes "(not UTF-8)".  NULL: no memory, which is the error record. */
json_t *wb_json_utf8 (const char *s);
/** json_loadb().  NULL: a bad text, *why (may be NULL) says where; or no memory, and that is the error record: a
 * WB_FAIL() after it gives that one's code. */
json_t *wb_json_load (const char *text, size_t bytes, size_t flags, json_error_t *why);
/** The same of a whole file.  NULL also where it cannot be read, which is the error record as well. */
json_t *wb_json_load_file (const char *path, size_t flags, json_error_t *why);
/** Of what these two gave: WB_OK where there is a value, or the text was bad; else the record's code. */
static inline wb_status wb_json_status (const json_t *j) {
    return j != NULL ? WB_OK : (wb_status) wb_error_get ()->status;
}

#ifdef __cplusplus
}
#endif

#endif
