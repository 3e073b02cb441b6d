/* Checkpoints of TensorFlow: tables (tf_table.c), what lies in them (tf_bundle.c), models (tf.c).  Not installed. */
#ifndef WABUN_CONVERT_TF_H
#define WABUN_CONVERT_TF_H

#include "base/wire.h"
#include "convert/cursor.h"

/* ---- tf_table.c -------------------------------------------------------------------------------------------------- */

#define WB_SSTABLE_KEY 512 /* bytes of a key, at most */

/** Called with each key, in order, and its value; both borrowed.  The key is followed by a 0 byte. */
typedef wb_status (*wb_sstable_fn) (void *ctx, const char *key, size_t nkey, const unsigned char *value, size_t n);
/** Walk over a table of the form of LevelDB: blocks, plain or packed by snappy, each with a checksum, which is
 * compared. Errors: WB_EDATA, WB_EIO, WB_ENOMEM, and what fn returns. */
wb_status wb_sstable_read (const char *path, wb_sstable_fn fn, void *ctx) WB_NODISCARD;

/** A table that is made in memory: one block, not packed. */
typedef struct wb_table {
    wb_buf_t block;
    wb_ids_t restarts;
    char last[WB_SSTABLE_KEY + 1];
    int entries;
} wb_sstable_t; /**< zero-initialised is empty */
/** Keys in ascending order. */
wb_status wb_sstable_put (wb_sstable_t *t, const char *key, const void *value, size_t n) WB_NODISCARD;
/** The whole file.  Appended to out. */
wb_status wb_sstable_end (wb_sstable_t *t, wb_buf_t *out) WB_NODISCARD;
void wb_sstable_fini (wb_sstable_t *t);

/* ---- tf_bundle.c ------------------------------------------------------------------------------------------------- */

typedef struct wb_bundle_tensor {
    char *name;
    int type; /**< as TensorFlow numbers them: 1 float, 2 double, 14 bfloat16, 19 half */
    int ndim;
    int64_t shape[8];
    int64_t shard, at, bytes;
    uint32_t crc; /**< masked */
} wb_bundle_tensor_t;
typedef struct wb_bundle {
    wb_bundle_tensor_t *list; /**< sorted by name */
    int64_t n, cap;
    int64_t shards;
} wb_bundle_t; /**< zero-initialised is empty */
/** The tensors that PREFIX.index names; of those of float types, sizes are those of their shapes. */
wb_status wb_bundle_read (wb_bundle_t *b, const char *index) WB_NODISCARD;
void wb_bundle_fini (wb_bundle_t *b);
const wb_bundle_tensor_t *wb_bundle_find (const wb_bundle_t *b, const char *name); /**< NULL: none */
/** Add an entry to a table, in the order of names; the first one is wb_bundle_put_header(). */
wb_status wb_bundle_put_header (wb_sstable_t *t) WB_NODISCARD;
wb_status wb_bundle_put (wb_sstable_t *t, const wb_bundle_tensor_t *tensor) WB_NODISCARD;
/** The number type of TensorFlow's; WB_OTHER: not one that is computed with. */
wb_dtype wb_bundle_dtype (int type);

/* ---- tf_write.c -------------------------------------------------------------------------------------------------- */

/** Name of a parameter there. */
const char *wb_tf_name (char buf[64], const wb_param_t *p);
wb_status wb_tf_write (const wb_export_t *x, wb_weights_t *w) WB_NODISCARD;

#endif
