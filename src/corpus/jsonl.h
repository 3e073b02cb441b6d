/* Lines of JSON: {"text": ...} and {"ids": [...]}. */
#ifndef WABUN_CORPUS_JSONL_H
#define WABUN_CORPUS_JSONL_H

#include <jansson.h>

#include "wabun/base.h"

/* What is wrong with a line, without where it stands: the caller knows. */
typedef struct wb_jsonl_complaint {
    char text[192];
} wb_jsonl_complaint_t;

/* Bytes of a line without the blanks at its end; 0: an empty line, which is skipped. */
size_t wb_jsonl_trim (const char *s, size_t n);
/* The object of a line; NULL with a complaint.  reals: whole numbers may have any size, since nobody reads them.  The
 * caller frees it with json_decref(). */
json_t *wb_jsonl_parse (const char *s, size_t n, bool reals, wb_jsonl_complaint_t *c);
/* Its field, "text" or another, a string borrowed from it; NULL with a complaint. */
const char *wb_jsonl_text (const json_t *line, const char *field, size_t *n, wb_jsonl_complaint_t *c);
/* Its "ids", each below vocab, in place of what *ids held; *good = false with a complaint.  Errors: WB_ENOMEM. */
wb_status wb_jsonl_ids (const json_t *line, wb_ids_t *ids, bool *good, int32_t vocab,
                        wb_jsonl_complaint_t *c) WB_NODISCARD;
/* Print one line of text or of ids to the standard output and flush it, for a reader that waits for it; `out` is
 * scratch.  Errors: WB_EIO, WB_ECLOSED, WB_ENOMEM. */
wb_status wb_jsonl_print_text (const wb_buf_t *text) WB_NODISCARD;
wb_status wb_jsonl_print_ids (const wb_ids_t *ids, wb_buf_t *out) WB_NODISCARD;

#endif
