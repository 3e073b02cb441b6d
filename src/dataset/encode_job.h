/* An encoding as a whole: what encode.c does and encode_report.c tells of. */
#ifndef WABUN_DATASET_ENCODE_JOB_H
#define WABUN_DATASET_ENCODE_JOB_H

#include "dataset/encode.h"

/* What a rank has done.  The numbers are added up over ranks. */
typedef struct wb_encode_counts {
    int64_t documents[2], tokens[2], bytes[2]; /* of both sides */
    int64_t learned[2];                        /* tokens that count in training */
    int64_t skipped, garbled;                  /* documents without text; documents that are not UTF-8 */
    int64_t garbled_bytes;                     /* of text of the latter */
    int64_t lines;                             /* of JSON, bad ones too */
    int64_t converted[WB_CHARSETS];            /* files */
    int64_t marks, words;                      /* <|endoftext|> on a line of its own in texts; anywhere else */
    int64_t markup[WB_FORMS];                  /* documents of archives whose markup is taken as text */
    int64_t line_markup[WB_FORMS];             /* texts of lines of JSON, likewise */
} wb_encode_counts_t;

typedef struct wb_encode_job {
    wb_encoder_t encoder;
    const wb_dataset_encoding_t *e;
    wb_buf_t command;              /* what decides the output */
    wb_tokens_writer_t *writer[2]; /* [1]: validation, NULL without */
    wb_encode_counts_t count;
    wb_notes_t garbled, bad, left;
    int64_t read;                  /* bytes, for the progress line */
    int64_t open_text, open_stray; /* of the text whose end has not been written */
    int open_side;
    const wb_input_t *named; /* the last text that was noted as garbled */
    uint64_t hash;           /* the smallest of all documents' */
    double started;
} wb_encode_job_t;

/* Rank 0 prints it; every rank has the same job. */

/* What was converted and what was wrong; an error when that is too much of it.  Errors: WB_EDATA. */
wb_status wb_encode_judge (const wb_encode_job_t *j) WB_NODISCARD;
/* A warning where validation has another share of the text than was asked for. */
void wb_encode_warn_share (const wb_encode_job_t *j);
/* One line on a token file that was written.  name: its prefix. */
void wb_encode_tell (const wb_encode_job_t *j, int side, const char *name);
/* Rank 0: a warning where there are files for validation from before, which this encoding does not write. */
void wb_encode_warn_stale (const char *prefix);

#endif
