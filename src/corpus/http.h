/* What a crawler keeps of an answer by HTTP. */
#ifndef WABUN_CORPUS_HTTP_H
#define WABUN_CORPUS_HTTP_H

#include "wabun/base.h"

/* Is the header field (NAME: value) of this name, without case?  Then *value [*n] is its value, without blanks. */
bool wb_http_field (const char *line, size_t bytes, const char *name, const char **value, size_t *n);

typedef struct wb_http {
    int status; /* 0: this is no answer */
    char type[64], charset[32];
    char encoding[32];
    bool chunked;
    size_t body; /* where it begins */
} wb_http_t;
/* Content-Type's value into type (lower case) and charset. */
void wb_http_type (wb_http_t *h, const char *value, size_t n);
/* The status line and header fields of s [n]. */
void wb_http_parse (wb_http_t *h, const char *s, size_t n);

/* The body without chunks and unpacked (gzip, deflate), as far as it still is in chunks and packed: crawlers often
 * unpack it and keep the header.  spare: of the caller, for scratch.  *fault = NULL, or why there is none: more than
 * max bytes, an encoding that is not known.  Errors: WB_ENOMEM. */
wb_status wb_http_body (wb_buf_t *out, const char **fault, wb_buf_t *spare, const wb_http_t *h, const char *s, size_t n,
                        size_t max) WB_NODISCARD;

#endif
