/* What is there already: whether a command may replace it (made.c). */
#ifndef WABUN_CORPUS_MADE_H
#define WABUN_CORPUS_MADE_H

#include "wabun/base.h"

#define WB_MADE_KEY "made_by" /* of the command in the JSON of a record */

/* Append an option, with its value where that is not NULL, to the text of a command: what decides the output, in an
 * order of the program's own.  option "": the value alone.  Errors: WB_ENOMEM. */
wb_status wb_made_put (wb_buf_t *command, const char *option, const char *value) WB_NODISCARD;
/* It has all of them: a long text becomes a beginning and a hash. */
wb_status wb_made_end (wb_buf_t *command) WB_NODISCARD;
/* `name` is there already: may this command write it?  record: the JSON file that says which made it; command NULL: it
 * reads the standard input.  Errors: WB_EUSAGE: another did, or that is not known. */
wb_status wb_made_check (const char *name, const char *record, const char *command) WB_NODISCARD;
/* The command as a value of JSON, with its quotes; NULL where it is not UTF-8.  Freed with wb_free().  Errors:
 * WB_ENOMEM.
 */
wb_status wb_made_json (char **out, const char *command) WB_NODISCARD;

#endif
