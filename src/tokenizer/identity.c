/* Which tokenizer it is, for what is encoded with it: a hash of what each id stands for.
 *
 * Not done here: where that is kept (dataset). */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "tokenizer/tokenizer_priv.h"

void wb_tokenizer_identify (wb_tokenizer_identity_t *out, const wb_tokenizer_t *t) {
    *out = (wb_tokenizer_identity_t){.size = t->size, .hash = (uint64_t) t->eot};
    snprintf (out->kind, sizeof out->kind, "%s", t->kind->name);
    for (int32_t id = 0; id < t->size; id++) {
        const wb_piece_t p = t->kind->piece (t, id);
        const uint64_t one[3] = {out->hash, (uint64_t) (p.len >= 0 ? p.len : -1 - p.byte),
                                 p.len > 0 ? wb_hash64 (p.text, (size_t) p.len) : 0};
        out->hash = wb_hash64 (one, sizeof one);
    }
}

bool wb_tokenizer_same (const wb_tokenizer_identity_t *a, const wb_tokenizer_identity_t *b) {
    return a->size == b->size && a->hash == b->hash;
}

const char *wb_tokenizer_identity_text (char buf[WB_TOKENIZER_IDENTITY], const wb_tokenizer_identity_t *i) {
    char count[32];
    snprintf (buf, WB_TOKENIZER_IDENTITY, "%s of %s ids (%016" PRIx64 ")", i->kind, wb_format_count (count, i->size),
              i->hash);
    return buf;
}
