/* What the tests of configurations share: making one from a text, and refusals. */
#ifndef WABUN_TESTS_MAKE_CONFIG_H
#define WABUN_TESTS_MAKE_CONFIG_H

#include <string.h>

#include "t.h"
#include "wabun/config.h"

#define BASE                                           \
    "run = \"r\";\nmodel = { preset = \"small\"; };\n" \
    "tokenizer = \"byte\";\ndata = { train = \"tok/train\"; };\n"

static wb_status make (wb_config_t **c, const char *text, const char *set) {
    const char *path = t_tmp ("a.cfg");
    *c = NULL;
    WB_TRY (wb_file_write (path, text, strlen (text)));
    return wb_config_new (c, path, &set, set != NULL ? 1 : 0);
}

/* The text with this --set is refused with a message that ends, or begins after the directory of the file's name, with
 * `want`. */
static inline void refused (const char *text, const char *set, const char *want, int line, wb_status as) {
    wb_config_t *c;
    wb_status status = make (&c, text, set);
    const char *got = wb_error_get ()->text, *dir = t_tmp ("");
    if (strncmp (got, dir, strlen (dir)) == 0) got += strlen (dir);
    T_OK (status == as, "line %d: status %d", line, (int) status);
    T_OK (strcmp (got, want) == 0, "line %d:\n  got  %s\n  want %s", line, got, want);
    T_OK (c == NULL, "line %d: nothing is given out", line);
    wb_error_clear ();
    wb_config_destroy (c);
}
#define REFUSED(text, set, want) refused (text, set, want, __LINE__, WB_EUSAGE)

#define REFUSED_AS(as, text, want) refused (text, NULL, want, __LINE__, as)

#endif
