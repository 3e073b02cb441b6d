/* Protocol buffers: https://protobuf.dev/programming-guides/encoding/.  Groups, which nobody uses any more, are errors.
 */
#include "config.h"

#include "convert/proto.h"

bool wb_varint (uint64_t *out, const unsigned char **at, const unsigned char *end) {
    *out = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        const unsigned char c = *(*at)++;
        *out |= (uint64_t) (c & 0x7f) << shift;
        if (c < 0x80) return true;
    }
    return false;
}

static bool take_fixed (wb_proto_t *p, wb_field_t *f, size_t n) {
    if ((size_t) (p->end - p->at) < n) return false;
    for (size_t i = 0; i < n; i++) f->value |= (uint64_t) *p->at++ << 8 * i;
    return true;
}

static bool take_bytes (wb_proto_t *p, wb_field_t *f) {
    uint64_t n;
    if (!wb_varint (&n, &p->at, p->end) || n > (uint64_t) (p->end - p->at)) return false;
    f->bytes = p->at;
    f->n = (size_t) n;
    p->at += n;
    return true;
}

bool wb_proto_next (wb_proto_t *p, wb_field_t *f) {
    uint64_t key;
    *f = (wb_field_t){0};
    if (p->bad || p->at >= p->end) return false;
    bool good = wb_varint (&key, &p->at, p->end) && key >> 3 > 0 && key >> 3 < 1 << 29;
    if (good) {
        f->number = (int) (key >> 3);
        switch (key & 7) {
        case 0: good = wb_varint (&f->value, &p->at, p->end); break;
        case 1: good = take_fixed (p, f, 8); break;
        case 2: good = take_bytes (p, f); break;
        case 5: good = take_fixed (p, f, 4); break;
        default: good = false;
        }
    }
    p->bad = !good;
    return good;
}
