/* What the files of dataset share among themselves. */
#ifndef WABUN_DATASET_PRIV_H
#define WABUN_DATASET_PRIV_H

#include "wabun/dataset.h"

/* ---- the format of token files ----------------------------------------------------------------------------------- */

/* The 34 bytes of the header are followed by int32 lengths[sequences], int64 pointers[sequences], int64
 * documents[documents + 1]: nothing after the header is aligned. */
#define WB_IDX_MAGIC "MMIDIDX\0"
#define WB_IDX_MAGIC_BYTES ((size_t) 9) /* with both zeros */
#define WB_IDX_VERSION 9                /* bytes where the fields begin */
#define WB_IDX_DTYPE 17
#define WB_IDX_SEQUENCES 18
#define WB_IDX_DOCUMENTS 26
#define WB_IDX_HEADER 34
#define WB_TOKENS_MASK "mask"      /* PREFIX.mask: which ids count, a byte each */
#define WB_TOKENS_NOTE "tokenizer" /* PREFIX.tokenizer: which one the ids are of, as JSON */

enum { WB_IDX_U8 = 1, WB_IDX_I8 = 2, WB_IDX_I16 = 3, WB_IDX_I32 = 4, WB_IDX_I64 = 5, WB_IDX_U16 = 8 };
/* Bytes of an id of that type, 0: no such type. */
int wb_idx_width (int dtype);

struct wb_tokens {
    char *prefix;
    int idx, bin, mask; /* file descriptors, -1: not open, or (mask) not there */
    int64_t idx_bytes, bin_bytes;
    int dtype, width;
    int64_t sequences, documents, count;
    /* With gaps between the sequences of the .bin: where each begins in the stream and in the .bin, [sequences + 1] and
     * [sequences].  Otherwise NULL: a position in the stream is one in the .bin. */
    int64_t *starts, *pointers;
};

/* Numbers of the .idx, one after the other, through a buffer. */
typedef struct wb_idx_cursor {
    const wb_tokens_t *f; /* borrowed */
    int64_t at;           /* byte of the file that the buffer goes on at */
    size_t used, have;
    unsigned char buf[1 << 15];
} wb_idx_cursor_t;
void wb_idx_lengths (wb_idx_cursor_t *c, const wb_tokens_t *f);
void wb_idx_pointers (wb_idx_cursor_t *c, const wb_tokens_t *f);
void wb_idx_documents (wb_idx_cursor_t *c, const wb_tokens_t *f);
/* Errors: WB_EIO, naming file and byte. */
wb_status wb_idx_i32 (wb_idx_cursor_t *c, int64_t *out) WB_NODISCARD;
wb_status wb_idx_i64 (wb_idx_cursor_t *c, int64_t *out) WB_NODISCARD;

/* Tell the system how the ids will be read. */
void wb_tokens_advise (const wb_tokens_t *f, bool random);
/* Start reading ids first .. first + n - 1 into the system's memory in the background. */
void wb_tokens_prefetch (const wb_tokens_t *f, int64_t first, int64_t n);

#endif
