/* Which texts a step read, for people: token file, window, document. */
#ifndef WABUN_RUN_WINDOWS_H
#define WABUN_RUN_WINDOWS_H

#include <jansson.h>

#include "run/run_priv.h"

#define WB_WINDOWS_TEXT 768

/* "17 (document 3 at 120), 4093 (document 88 at 16) of tok/general, 5 (document 0 at 40) of tok/novel" into buf:
 * windows of samples ks[n], by the number in the file, and the document in which each begins, at which of its tokens.
 * Rank 0 reads the documents' places in the token files; elsewhere, and where they cannot be read, they are left out.
 * Not collective. */
const char *wb_run_windows_text (char buf[WB_WINDOWS_TEXT], const wb_run_t *r, const int64_t *ks, int n);
/* [{"tokens": "tok/general", "window": 17, "document": 3, "offset": 120}, ...]: samples first .. first + n - 1, of very
 * many the first ones.  Rank 0. */
json_t *wb_run_windows_json (const wb_run_t *r, int64_t first, int64_t n);

#endif
