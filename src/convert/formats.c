/* The table of formats, and which of them a path is.
 *
 * A format recognises its files by their first bytes, or a directory by the files in it; names count only where a file
 * has no first bytes of its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert_priv.h"

const wb_format_t *const wb_formats[] = {&wb_format_torch,
                                         &wb_format_hf,
                                         &wb_format_gguf,
                                         &wb_format_llmc,
                                         &wb_format_llmc_tokens,
                                         &wb_format_tf,
                                         &wb_format_npz,
                                         &wb_format_safetensors,
                                         &wb_format_tokens,
                                         &wb_format_vocabulary,
                                         NULL};

const char *const wb_number_names[] = {"f32", "f16", "bf16", "q8_0", "q4_k", NULL};

bool wb_ends_with (const char *s, const char *end) {
    const size_t n = strlen (s), m = strlen (end);
    return n >= m && strcmp (s + n - m, end) == 0;
}

wb_status wb_look (wb_look_t *out, const char *path) {
    struct stat st;
    *out = (wb_look_t){.path = path, .name = wb_file_name (path)};
    char *idx = wb_format ("%s.idx", path);
    if (idx == NULL) return WB_NOMEM ("%s", path);
    const bool prefix = stat (path, &st) != 0 && stat (idx, &st) == 0; /* of a token file */
    const int fd = open (prefix ? idx : path, O_RDONLY | O_CLOEXEC);
    wb_status status = WB_OK;
    if (fd < 0)
        status = WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    else if (fstat (fd, &st) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    else if (S_ISDIR (st.st_mode))
        out->directory = true;
    else if (!S_ISREG (st.st_mode))
        status = WB_FAIL (WB_EUSAGE, "%s: neither a file nor a directory", path);
    else {
        out->bytes = st.st_size;
        const int error = wb_fd_read (fd, out->head, &out->nhead, sizeof out->head, 0);
        if (error != 0) status = WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (error));
    }
    if (fd >= 0) close (fd);
    wb_free (idx);
    return status;
}

wb_status wb_format_of (const wb_format_t **out, const wb_look_t *look) {
    char known[1024] = "";
    size_t used = 0;
    *out = NULL;
    for (int i = 0; wb_formats[i] != NULL; i++) {
        if (wb_formats[i]->probe (look)) {
            *out = wb_formats[i];
            return WB_OK;
        }
        if (used < sizeof known)
            used +=
                (size_t) snprintf (known + used, sizeof known - used, "%s%s", i > 0 ? "; " : "", wb_formats[i]->what);
    }
    return WB_FAIL (WB_EUSAGE, "%s: of no format that is known; known are: %s", look->path, known);
}

wb_status wb_export_new (const wb_export_t *x) {
    if (!wb_file_exists (x->out)) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%s: is there already; remove it, or name another place", x->out);
}

/* ---- models ---------------------------------------------------------------------------------------------------- */

wb_status wb_weights_init (wb_weights_t *w, const wb_size_t *size) {
    wb_layout_t layout;
    w->size = *size;
    WB_TRY (wb_layout_init (&layout, 1, 1, 1, 1, size->L, size->H, 0.0, 0.0));
    wb_layout_place (&layout, 0);
    return wb_params_new (&w->params, size, &layout);
}

#define TELL 10.0 /* seconds between lines of progress */

wb_status wb_weights_read (wb_weights_t *w, float *out, const wb_param_t *p) {
    char done[32], all[32];
    const double now = wb_now ();
    if (w->numbers == 0) w->told = now;
    if (w->out != NULL && now - w->told > TELL) {
        w->told = now;
        wb_info ("%s: %s of %s parameters", w->out, wb_format_count (done, w->numbers),
                 wb_format_count (all, w->params->total));
    }
    w->numbers += p->rows * p->cols;
    return w->read (w, out, p);
}

void wb_weights_close (wb_weights_t *w) {
    if (w == NULL) return;
    w->close (w);
    wb_params_destroy (w->params);
    wb_tokenizer_destroy (w->tokenizer);
    wb_free (w->directory);
    wb_free (w);
}
