/* The files that an encoding writes: PREFIX and PREFIX-valid, whether it may, and each rank's part of them, which a
 * signal removes.
 *
 * Not done here: their format (tokens_write.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/made.h"
#include "dataset/dataset_priv.h"
#include "dataset/encode.h"

char *wb_encoded_name (const char *prefix, int side, int rank) {
    const char *valid = side == 1 ? "-valid" : "";
    return rank < 0 ? wb_format ("%s%s", prefix, valid) : wb_format ("%s%s.rank%d", prefix, valid, rank);
}

static const char *bad_lines_name (wb_bad_lines b) {
    return b == WB_BAD_LINES_SKIP ? "skip" : b == WB_BAD_LINES_STOP ? "stop" : NULL;
}

wb_status wb_encoded_command (wb_buf_t *out, const wb_dataset_encoding_t *e) {
    char share[32];
    snprintf (share, sizeof share, "%.15g", e->validation);
    if (strtod (share, NULL) != e->validation) snprintf (share, sizeof share, "%.17g", e->validation);
    WB_TRY (wb_made_put (out, "wabun encode --tokenizer", e->tokenizer));
    if (e->clean) WB_TRY (wb_made_put (out, "--clean", NULL));
    if (e->validation > 0) WB_TRY (wb_made_put (out, "--validation", share));
    if (e->from != NULL) WB_TRY (wb_made_put (out, "--from", e->from));
    if (strcmp (e->field, "text") != 0 && !e->answers) WB_TRY (wb_made_put (out, "--text-field", e->field));
    if (e->answers) WB_TRY (wb_made_put (out, "--answers", NULL));
    if (bad_lines_name (e->bad_lines) != NULL) WB_TRY (wb_made_put (out, "--bad-lines", bad_lines_name (e->bad_lines)));
    if (e->keep_crlf) WB_TRY (wb_made_put (out, "--keep-crlf", NULL));
    if (e->keep_garbled) WB_TRY (wb_made_put (out, "--keep-garbled", NULL));
    for (int i = 0; i < e->ninputs; i++) WB_TRY (wb_made_put (out, "", e->inputs[i]));
    return wb_made_end (out);
}

wb_status wb_encoded_check (const wb_dataset_encoding_t *e, const char *command) {
    wb_status status = WB_OK;
    for (int i = 0; i < e->ninputs; i++)
        if (strcmp (e->inputs[i], "-") == 0) command = NULL;
    for (int side = 0; side < (e->validation > 0 ? 2 : 1) && status == WB_OK && !e->force; side++) {
        char *name = wb_encoded_name (e->prefix, side, -1), *idx = name != NULL ? wb_format ("%s.idx", name) : NULL,
             *bin = name != NULL ? wb_format ("%s.bin", name) : NULL,
             *note = name != NULL ? wb_format ("%s." WB_TOKENS_NOTE, name) : NULL;
        if (idx == NULL || bin == NULL || note == NULL)
            status = WB_NOMEM ("%s", e->prefix);
        else if (wb_file_exists (idx) || wb_file_exists (bin))
            status = wb_made_check (name, note, command);
        wb_free (name);
        wb_free (idx);
        wb_free (bin);
        wb_free (note);
    }
    return status;
}

wb_status wb_encoded_parts_init (wb_encoded_parts_t *p, const char *prefix, int rank) {
    static const char *const endings[] = {"bin", "idx", WB_TOKENS_MASK};
    *p = (wb_encoded_parts_t){.place = {-1, -1, -1, -1, -1, -1}};
    for (int i = 0; i < WB_ENCODED_PARTS && rank >= 0; i++) {
        char *name = wb_encoded_name (prefix, i / 3, rank);
        p->path[i] = name != NULL ? wb_format ("%s.%s", name, endings[i % 3]) : NULL;
        wb_free (name);
        if (p->path[i] == NULL) return WB_NOMEM ("%s", prefix);
        p->place[i] = wb_temp_add (p->path[i]);
    }
    return WB_OK;
}

void wb_encoded_parts_fini (wb_encoded_parts_t *p) {
    for (int i = 0; i < WB_ENCODED_PARTS; i++) {
        if (p->path[i] != NULL) unlink (p->path[i]);
        wb_temp_drop (p->place[i]);
        wb_free (p->path[i]);
    }
}

wb_status wb_encoded_join (const char *prefix, const wb_tokenizer_t *t, const char *command, bool mask, int ranks) {
    wb_tokens_writer_t *w;
    WB_TRY (wb_tokens_writer_new (&w, prefix, wb_tokenizer_size (t)));
    wb_tokens_writer_tokenizer (w, t, command);
    wb_status status = mask ? wb_tokens_writer_mask (w) : WB_OK;
    for (int r = 0; r < ranks && status == WB_OK; r++) {
        char *part = wb_format ("%s.rank%d", prefix, r);
        status = part != NULL ? wb_tokens_writer_join (w, part) : WB_NOMEM ("%s", prefix);
        wb_free (part);
    }
    if (status == WB_OK) return wb_tokens_writer_end (w, NULL, NULL);
    wb_tokens_writer_cancel (w);
    return status;
}
