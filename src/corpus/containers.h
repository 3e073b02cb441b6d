/* Containers: what a layer of bytes holds, record by record.  A new one is a file and a row in records.c. */
#ifndef WABUN_CORPUS_CONTAINERS_H
#define WABUN_CORPUS_CONTAINERS_H

#include "corpus/reader.h"

typedef struct wb_container wb_container_t;

/* A container that is being read. */
typedef struct wb_level {
    const wb_container_t *kind;
    wb_reader_t *r; /* its bytes; owned */
    void *state;    /* of the container */
} wb_level_t;

typedef enum { WB_STEP_RECORD, WB_STEP_INNER, WB_STEP_END } wb_step;

struct wb_container {
    const char *name;
    /* Does the layer look like that?  Its first bytes have been peeked for: all of them, if they are few. */
    bool (*is) (const wb_reader_t *r);
    /* NULL: nothing to do. */
    wb_status (*open) (wb_level_t *l);
    /* The next record into *rec, whose name and site are those of the layer and whose other fields are empty; or
     * another layer, an entry, into *inner, which is opened in its turn and closed before the next step; or the end.
     * What is of no use is told by wb_reading_skip().  Errors: WB_EIO the disk; WB_ENOMEM. */
    wb_status (*next) (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner);
    void (*close) (wb_level_t *l);
    bool nests; /* counts as one of the archives in archives */
};

extern const wb_container_t wb_container_archive, wb_container_warc, wb_container_dump, wb_container_lines,
    wb_container_values, wb_container_plain;

/* b = s. */
wb_status wb_record_set (wb_buf_t *b, const char *s, size_t n) WB_NODISCARD;

#endif
