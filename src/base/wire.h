/* What several rooms write for programs of others: fields of protocol buffers, and the checksum of TensorFlow's files.
 */
#ifndef WABUN_BASE_WIRE_H
#define WABUN_BASE_WIRE_H

#include "wabun/base.h"

/** CRC32C of n more bytes; the first call has crc = 0. */
uint32_t wb_crc32c (uint32_t crc, const void *data, size_t n);
/** As it is stored: turned and shifted, so that a checksum of checksums is one. */
uint32_t wb_crc32c_mask (uint32_t crc);

/* Protocol buffers: https://protobuf.dev/programming-guides/encoding/.  Errors of all: WB_ENOMEM. */

/** A number of 7 bits a byte, the lowest first. */
wb_status wb_put_varint (wb_buf_t *b, uint64_t x) WB_NODISCARD;
/** A field of a number, left out where it is 0. */
wb_status wb_put_field (wb_buf_t *b, int field, int64_t x) WB_NODISCARD;
/** Of 4 and of 8 bytes: fixed32 and float, fixed64 and double, by their bits. */
wb_status wb_put_field_32 (wb_buf_t *b, int field, uint32_t bits) WB_NODISCARD;
wb_status wb_put_field_64 (wb_buf_t *b, int field, uint64_t bits) WB_NODISCARD;
/** Of a text or a message. */
wb_status wb_put_field_bytes (wb_buf_t *b, int field, const void *data, size_t n) WB_NODISCARD;

#endif
