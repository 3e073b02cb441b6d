/* libarchive on a layer. */
#ifndef WABUN_CORPUS_ARCHIVE_H
#define WABUN_CORPUS_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "corpus/reader.h"

typedef struct wb_archive_in {
    wb_reader_t *r; /* borrowed */
    size_t given;   /* bytes of it that libarchive has at present */
    wb_status status;
} wb_archive_in_t;
/* Begin reading `a` from r, from where that is; `in` lives as long as a.  Returns libarchive's code. */
int wb_archive_begin (struct archive *a, wb_archive_in_t *in, wb_reader_t *r);
/* Does it begin like tar, zip or 7z? */
bool wb_archive_is (const char *s, size_t n);

#endif
