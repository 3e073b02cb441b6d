/* The marks of a wiki page that pair up: what wiki_pairs.c finds and wiki.c reads by. */
#ifndef WABUN_CORPUS_WIKI_H
#define WABUN_CORPUS_WIKI_H

#include "wabun/base.h"

typedef enum {
    WB_PAIR_TEMPLATE, /* {{ }}, {{{ }}} */
    WB_PAIR_TABLE,    /* {| |} */
    WB_PAIR_LINK,     /* [[ ]] */
    WB_PAIR_DROPPED,  /* a comment; <ref>, <math>, <gallery> ... with what is in them */
    WB_PAIR_VERBATIM  /* <nowiki>, whose text is no markup */
} wb_pair_kind;

typedef struct wb_pair {
    int64_t from, to; /* with its marks; to = 0: it is not closed */
    wb_pair_kind kind;
} wb_pair_t;

/* Zero-initialised is empty; kept between pages. */
typedef struct wb_pairs {
    wb_pair_t *data;
    int64_t len, cap;
    int64_t *open; /* those that are open */
    int64_t nopen, open_cap;
} wb_pairs_t;
void wb_pairs_fini (wb_pairs_t *p);
/* All pairs of s [n], by where they begin.  Linear, however deep they are in one another.  Errors: WB_ENOMEM. */
wb_status wb_pairs_find (wb_pairs_t *p, const char *s, size_t n) WB_NODISCARD;

#endif
