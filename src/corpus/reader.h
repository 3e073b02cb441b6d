/* Bytes of an input through its layers: the file, what unpacks it, an entry of an archive. */
#ifndef WABUN_CORPUS_READER_H
#define WABUN_CORPUS_READER_H

#include "wabun/corpus.h"

/* What all layers of one input share. */
typedef struct wb_reading {
    wb_records_options_t o;
    wb_complain_fn *complain;
    void *ctx;
    int64_t read, size; /* bytes of the file that were read, and that there are (-1: a pipe) */
    int64_t number;     /* of the next record */
} wb_reading_t;

/* Something was skipped: tell the caller, and give it a number among the records. */
void wb_reading_skip (wb_reading_t *c, const char *kind, const char *name, const char *fmt, ...) WB_PRINTF (4, 5);

/* A layer.  Its bytes are buf.data[at .. buf.len); peek for more of them, take what is done with. */
typedef struct wb_reader wb_reader_t;
struct wb_reader {
    wb_reading_t *c; /* borrowed */
    char *name;      /* owned: "novels.zip:a/b.txt" */
    wb_buf_t buf;
    size_t at;
    bool end;
    bool broken; /* bytes were lost, which a complaint says */
    bool gap;    /* they were lost here, and others follow after wb_reader_resume() */
    int64_t out; /* bytes that this layer has given */

    /* The next bytes, any number up to room; *got = 0: the end, or a gap. */
    wb_status (*read) (wb_reader_t *r, char *to, size_t *got, size_t room);
    void (*close) (wb_reader_t *r); /* NULL: nothing to do */
    void *state;                    /* of the layer */
    wb_reader_t *below;             /* owned, NULL: it is the file, or an entry of an archive */
    bool bounded;                   /* what it gives may be far more than what was read */
    int fd;                         /* of the file, -1 */
    bool seeks;
};

/* The file, "-": the standard input.  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_reader_file (wb_reader_t **out, wb_reading_t *c, const char *path) WB_NODISCARD;
/* A stream of which b's bytes have been read already; they are taken over.  name: for messages. */
wb_status wb_reader_stream (wb_reader_t **out, wb_reading_t *c, const char *name, int fd, wb_buf_t *b) WB_NODISCARD;
/* A layer that is not set up yet; name: copied.  NULL when out of memory. */
wb_reader_t *wb_reader_new (wb_reading_t *c, const char *name) WB_NODISCARD;
void wb_reader_close (wb_reader_t *r); /* with those below; NULL is allowed */

/* Have at least `want` bytes, or all up to the end or the next gap.  Errors: WB_EIO the disk failed; WB_ENOMEM. */
wb_status wb_reader_peek (wb_reader_t *r, size_t want) WB_NODISCARD;
static inline const char *wb_reader_bytes (const wb_reader_t *r) { return r->buf.data + r->at; }
static inline size_t wb_reader_have (const wb_reader_t *r) { return r->buf.len - r->at; }
void wb_reader_take (wb_reader_t *r, size_t n); /* n <= have */
void wb_reader_resume (wb_reader_t *r);
/* Skip n bytes, or to the end or the next gap: *skipped says how many. */
wb_status wb_reader_skip (wb_reader_t *r, int64_t *skipped, int64_t n) WB_NODISCARD;
/* The byte of the file that comes next, and going to another; of a file that `seeks`. */
int64_t wb_reader_place (const wb_reader_t *r);
bool wb_reader_seek (wb_reader_t *r, int64_t to);

/* While *r is packed (gz, bz2, xz, zst ...), put what unpacks it on top.  After an error *r is still to be closed. */
wb_status wb_reader_unpack (wb_reader_t **r) WB_NODISCARD;
/* Is it packed like that, by its first bytes? */
bool wb_packing_is (const char *s, size_t n);
/* Does the name end like that, whatever it is packed with: "a.jsonl.gz" in ".jsonl"? */
bool wb_reader_named (const wb_reader_t *r, const char *suffix);

#endif
