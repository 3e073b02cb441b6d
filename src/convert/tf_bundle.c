/* The index of a checkpoint of TensorFlow, PREFIX.index: a table with an entry for each tensor, by name.
 *
 * Format: tensor_bundle.proto, https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf.  The
 * empty name has the header.
 *
 * Not done here: variables in slices. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/proto.h"
#include "convert/tf.h"

#define TENSORS (1 << 16) /* at most */
#define NAME 256          /* bytes of a name, at most */

typedef struct reading {
    wb_bundle_t *bundle;
    const char *path;
} reading_t;

wb_dtype wb_bundle_dtype (int type) {
    return type == 1 ? WB_F32 : type == 2 ? WB_F64 : type == 14 ? WB_BF16 : type == 19 ? WB_F16 : WB_OTHER;
}

/* TensorShapeProto {dim = 2: {size = 1}} */
static bool take_shape (wb_bundle_tensor_t *t, const wb_field_t *shape) {
    wb_proto_t p = wb_proto (shape->bytes, shape->n);
    wb_field_t dim, size;
    while (wb_proto_next (&p, &dim)) {
        if (dim.number != 2 || dim.bytes == NULL || t->ndim == 8) return false;
        wb_proto_t inner = wb_proto (dim.bytes, dim.n);
        t->shape[t->ndim] = 0;
        while (wb_proto_next (&inner, &size))
            if (size.number == 1 && size.bytes == NULL) t->shape[t->ndim] = (int64_t) size.value;
        if (inner.bad || t->shape[t->ndim++] < 0) return false;
    }
    return !p.bad;
}

/* BundleEntryProto {dtype = 1, shape = 2, shard_id = 3, offset = 4, size = 5, crc32c = 6, slices = 7} */
static bool take_entry (wb_bundle_tensor_t *t, bool *sliced, const unsigned char *value, size_t n) {
    wb_proto_t p = wb_proto (value, n);
    wb_field_t f;
    *sliced = false;
    while (wb_proto_next (&p, &f)) {
        if ((f.number == 2 || f.number == 7) != (f.bytes != NULL) && f.number <= 7) return false;
        switch (f.number) {
        case 1: t->type = f.value <= 1000 ? (int) f.value : 1000; break;
        case 2:
            if (!take_shape (t, &f)) return false;
            break;
        case 3: t->shard = (int64_t) f.value; break;
        case 4: t->at = (int64_t) f.value; break;
        case 5: t->bytes = (int64_t) f.value; break;
        case 6: t->crc = (uint32_t) f.value; break;
        case 7: *sliced = true; break;
        default: break;
        }
    }
    return !p.bad && t->shard >= 0 && t->at >= 0 && t->bytes >= 0;
}

/* BundleHeaderProto {num_shards = 1, endianness = 2} */
static wb_status take_header (reading_t *r, const unsigned char *value, size_t n) {
    wb_proto_t p = wb_proto (value, n);
    wb_field_t f;
    while (wb_proto_next (&p, &f)) {
        if (f.number == 1) r->bundle->shards = (int64_t) f.value;
        if (f.number == 2 && f.value != 0) return WB_FAIL (WB_EDATA, "%s: its numbers are not little-endian", r->path);
    }
    if (!p.bad && r->bundle->shards >= 1 && r->bundle->shards <= 99999) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: a damaged index of a checkpoint: its header", r->path);
}

static bool right_size (const wb_bundle_tensor_t *t) {
    int64_t n = wb_st_element_bytes (wb_bundle_dtype (t->type));
    for (int i = 0; i < t->ndim && n > 0; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow (n, t->shape[i], &n)) return false;
    return wb_bundle_dtype (t->type) == WB_OTHER || n == t->bytes;
}

static wb_status take (void *ctx, const char *key, size_t nkey, const unsigned char *value, size_t n) {
    reading_t *r = ctx;
    wb_bundle_t *b = r->bundle;
    bool sliced;
    if (nkey == 0) return take_header (r, value, n);
    if (nkey > NAME || strlen (key) != nkey || b->n >= TENSORS)
        return WB_FAIL (WB_EDATA, "%s: a damaged index of a checkpoint: too many tensors, or an odd name", r->path);
    if (b->n > 0 && strcmp (b->list[b->n - 1].name, key) >= 0)
        return WB_FAIL (WB_EDATA, "%s: a damaged index of a checkpoint: its names are not in order", r->path);
    if (!WB_GROW (b->list, b->cap, b->n + 1)) return WB_NOMEM ("%s", r->path);
    wb_bundle_tensor_t *t = &b->list[b->n];
    *t = (wb_bundle_tensor_t){.name = wb_strndup (key, nkey)};
    if (t->name == NULL) return WB_NOMEM ("%s", r->path);
    b->n++;
    if (!take_entry (t, &sliced, value, n) || t->shard >= (b->shards > 0 ? b->shards : 1) || !right_size (t))
        return WB_FAIL (WB_EDATA, "%s: tensor '%.100s' has an impossible entry", r->path, t->name);
    if (sliced)
        return WB_FAIL (WB_EDATA, "%s: variable '%.100s' is cut in slices, which wabun does not read", r->path,
                        t->name);
    return WB_OK;
}

wb_status wb_bundle_read (wb_bundle_t *b, const char *index) {
    reading_t r = {b, index};
    WB_TRY (wb_sstable_read (index, take, &r));
    if (b->shards > 0) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: a damaged index of a checkpoint: it has no header", index);
}

void wb_bundle_fini (wb_bundle_t *b) {
    for (int64_t i = 0; i < b->n; i++) wb_free (b->list[i].name);
    wb_free (b->list);
    *b = (wb_bundle_t){0};
}

const wb_bundle_tensor_t *wb_bundle_find (const wb_bundle_t *b, const char *name) {
    int64_t low = 0, high = b->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int order = strcmp (b->list[middle].name, name);
        if (order == 0) return &b->list[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

wb_status wb_bundle_put_header (wb_sstable_t *t) { return wb_sstable_put (t, "", "\x08\x01\x1a\x02\x08\x01", 6); }

static wb_status put_shape (wb_buf_t *b, const wb_bundle_tensor_t *tensor) {
    wb_buf_t shape = {0}, dim = {0};
    wb_status status = WB_OK;
    for (int i = 0; i < tensor->ndim && status == WB_OK; i++) {
        wb_buf_clear (&dim);
        status = wb_put_field (&dim, 1, tensor->shape[i]);
        if (status == WB_OK) status = wb_put_field_bytes (&shape, 2, dim.data, dim.len);
    }
    if (status == WB_OK) status = wb_put_field_bytes (b, 2, shape.data, shape.len);
    wb_buf_fini (&shape);
    wb_buf_fini (&dim);
    return status;
}

wb_status wb_bundle_put (wb_sstable_t *t, const wb_bundle_tensor_t *tensor) {
    wb_buf_t b = {0};
    wb_status status = wb_put_field (&b, 1, tensor->type);
    if (status == WB_OK) status = put_shape (&b, tensor);
    if (status == WB_OK) status = wb_put_field (&b, 3, tensor->shard);
    if (status == WB_OK) status = wb_put_field (&b, 4, tensor->at);
    if (status == WB_OK) status = wb_put_field (&b, 5, tensor->bytes);
    if (status == WB_OK) status = wb_put_field_32 (&b, 6, tensor->crc);
    if (status == WB_OK) status = wb_sstable_put (t, tensor->name, b.data, b.len);
    wb_buf_fini (&b);
    return status;
}
