/* The files that an encoding writes: PREFIX and PREFIX-valid, and each rank's part of them, which a signal removes.
 *
 * Not done here: their format (tokens_write.c). */
#include "config.h"

#include <unistd.h>

#include "dataset/encode.h"

char *wb_encoded_name (const char *prefix, int side, int rank) {
    const char *valid = side == 1 ? "-valid" : "";
    return rank < 0 ? wb_format ("%s%s", prefix, valid) : wb_format ("%s%s.rank%d", prefix, valid, rank);
}

wb_status wb_encoded_parts_init (wb_encoded_parts_t *p, const char *prefix, int rank) {
    *p = (wb_encoded_parts_t){.place = {-1, -1, -1, -1}};
    for (int i = 0; i < 4 && rank >= 0; i++) {
        char *name = wb_encoded_name (prefix, i / 2, rank);
        p->path[i] = name != NULL ? wb_format ("%s.%s", name, i % 2 == 0 ? "bin" : "idx") : NULL;
        wb_free (name);
        if (p->path[i] == NULL) return WB_NOMEM ("%s", prefix);
        p->place[i] = wb_temp_add (p->path[i]);
    }
    return WB_OK;
}

void wb_encoded_parts_fini (wb_encoded_parts_t *p) {
    for (int i = 0; i < 4; i++) {
        if (p->path[i] != NULL) unlink (p->path[i]);
        wb_temp_drop (p->place[i]);
        wb_free (p->path[i]);
    }
}

wb_status wb_encoded_join (const char *prefix, const wb_tokenizer_t *t, int ranks) {
    wb_tokens_writer_t *w;
    WB_TRY (wb_tokens_writer_new (&w, prefix, wb_tokenizer_size (t)));
    wb_tokens_writer_tokenizer (w, t);
    wb_status status = WB_OK;
    for (int r = 0; r < ranks && status == WB_OK; r++) {
        char *part = wb_format ("%s.rank%d", prefix, r);
        status = part != NULL ? wb_tokens_writer_join (w, part) : WB_NOMEM ("%s", prefix);
        wb_free (part);
    }
    if (status == WB_OK) return wb_tokens_writer_end (w, NULL, NULL);
    wb_tokens_writer_cancel (w);
    return status;
}
