/* Protocol buffers: walking over the fields of a message in memory.  Not installed. */
#ifndef WABUN_CONVERT_PROTO_H
#define WABUN_CONVERT_PROTO_H

#include "base/wire.h"

/** A message, and a place in it. */
typedef struct wb_proto {
    const unsigned char *at, *end;
    bool bad; /**< something in it was no field */
} wb_proto_t;
typedef struct wb_field {
    int number;
    uint64_t value;             /**< of a number of any kind, as its bits */
    const unsigned char *bytes; /**< of texts and messages; NULL: it is a number */
    size_t n;
} wb_field_t;
static inline wb_proto_t wb_proto (const void *data, size_t n) {
    return (wb_proto_t){.at = data, .end = (const unsigned char *) data + n};
}
/** The next field; false at the end, or where the message is damaged. */
bool wb_proto_next (wb_proto_t *p, wb_field_t *f);
/** A number of 7 bits a byte, the lowest first, at *at; false: cut off, or more than 64 bits. */
bool wb_varint (uint64_t *out, const unsigned char **at, const unsigned char *end);

#endif
