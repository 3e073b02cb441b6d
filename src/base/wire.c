/* Fields of protocol buffers and CRC32C.  Not done here: reading them (convert/proto.c). */
#include "config.h"

#include "base/wire.h"

/* ---- checksums --------------------------------------------------------------------------------------------------- */

/* tables[k][b]: what byte b adds with k bytes after it. */
static uint32_t tables[8][256];

static void make_tables (void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t x = b;
        for (int i = 0; i < 8; i++) x = x >> 1 ^ (x & 1 ? 0x82f63b78u : 0);
        tables[0][b] = x;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
}

uint32_t wb_crc32c (uint32_t crc, const void *data, size_t n) {
    const unsigned char *p = data;
    if (tables[0][1] == 0) make_tables ();
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        const uint32_t x =
            crc ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24);
        crc = tables[7][x & 0xff] ^ tables[6][x >> 8 & 0xff] ^ tables[5][x >> 16 & 0xff] ^ tables[4][x >> 24] ^
              tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    }
    for (; n > 0; n--, p++) crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
    return ~crc;
}

uint32_t wb_crc32c_mask (uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

/* ---- fields ------------------------------------------------------------------------------------------------------ */

wb_status wb_put_varint (wb_buf_t *b, uint64_t x) {
    char raw[10];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7) raw[n++] = (char) (x | 0x80);
    raw[n++] = (char) x;
    return wb_buf_put (b, raw, n);
}

wb_status wb_put_field (wb_buf_t *b, int field, int64_t x) {
    if (x == 0) return WB_OK;
    WB_TRY (wb_put_varint (b, (uint64_t) field << 3));
    return wb_put_varint (b, (uint64_t) x);
}

static wb_status put_fixed (wb_buf_t *b, uint64_t key, uint64_t bits, size_t n) {
    char raw[8];
    for (size_t i = 0; i < n; i++) raw[i] = (char) (bits >> 8 * i);
    WB_TRY (wb_put_varint (b, key));
    return wb_buf_put (b, raw, n);
}
wb_status wb_put_field_32 (wb_buf_t *b, int field, uint32_t bits) {
    return put_fixed (b, (uint64_t) field << 3 | 5, bits, 4);
}
wb_status wb_put_field_64 (wb_buf_t *b, int field, uint64_t bits) {
    return put_fixed (b, (uint64_t) field << 3 | 1, bits, 8);
}

wb_status wb_put_field_bytes (wb_buf_t *b, int field, const void *data, size_t n) {
    WB_TRY (wb_put_varint (b, (uint64_t) field << 3 | 2));
    WB_TRY (wb_put_varint (b, n));
    return wb_buf_put (b, data, n);
}
