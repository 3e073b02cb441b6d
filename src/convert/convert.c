/* wabun export and wabun import: a model of any format that can be read, to any that can be written. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>

#include "convert/convert_priv.h"

/* The format of what lies there.  *named: its path, to be freed. */
static wb_status look_at (const wb_format_t **out, char **named, const char *path) {
    wb_look_t look;
    *named = wb_dir_latest (path);
    wb_status status = *named != NULL ? wb_look (&look, *named) : WB_NOMEM ("%s", path);
    return status == WB_OK ? wb_format_of (out, &look) : status;
}

static wb_status open_weights (wb_weights_t **out, const wb_format_t *format, const char *path) {
    *out = NULL;
    if (format->open == NULL)
        return WB_FAIL (WB_EUSAGE, "%s: is %s: no model can be taken from it", path, format->what);
    WB_TRY (format->open (out, path));
    const wb_tokenizer_t *t = (*out)->tokenizer;
    if (t == NULL || wb_tokenizer_size (t) <= (*out)->size.V) return WB_OK;
    const int64_t V = (*out)->size.V;
    const int32_t n = wb_tokenizer_size (t);
    wb_weights_close (*out);
    *out = NULL;
    return WB_FAIL (WB_EDATA, "%s: its tokenizer has %d ids, the model %lld: they do not belong together", path,
                    (int) n, (long long) V);
}

static wb_status writer_of (const wb_format_t **out, const char *name, bool tokens) {
    const char *names[16];
    int n = 0;
    char known[128] = "";
    for (int i = 0; wb_formats[i] != NULL; i++) {
        const wb_format_t *f = wb_formats[i];
        if (tokens ? f->write_ids == NULL : f->write == NULL) continue;
        if (strcmp (f->name, name) == 0) {
            *out = f;
            return WB_OK;
        }
        snprintf (known + strlen (known), sizeof known - strlen (known), "%s%s", n > 0 ? ", " : "", f->name);
        names[n++] = f->name;
    }
    const char *near = wb_nearest (name, names, n);
    return WB_FAIL (WB_EUSAGE, "--to %s: no such format%s; there are %s%s%s%s", name, tokens ? " of tokens" : "", known,
                    near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
}

/* How many files and bytes there are under OUT now, and who opens it. */
static wb_status tell_written (const wb_export_t *x, const wb_format_t *to) {
    struct stat st;
    wb_names_t names = {0};
    char size[32];
    int64_t bytes = 0;
    const bool directory = wb_file_is_dir (x->out);
    if (directory) WB_TRY (wb_dir_list (&names, x->out));
    for (int64_t i = 0; i < (directory ? names.len : 1); i++) {
        char *path = directory ? wb_format ("%s/%s", x->out, names.data[i]) : wb_strdup (x->out);
        if (path != NULL && stat (path, &st) == 0) bytes += st.st_size;
        wb_free (path);
    }
    wb_info ("%s: %lld file%s, %s, for %s", x->out, directory ? (long long) names.len : 1LL,
             wb_plural (directory ? names.len : 1), wb_format_bytes (size, (double) bytes), to->opened_by);
    wb_names_fini (&names);
    return WB_OK;
}

static wb_status export_model (const wb_export_t *x, const wb_format_t *from, const char *path) {
    const wb_format_t *to = NULL;
    wb_weights_t *w;
    WB_TRY (writer_of (&to, x->to, false));
    if ((to->types >> x->type & 1u) == 0) {
        char known[64] = "";
        for (int i = 0; i < WB_NUMBERS; i++)
            if ((to->types >> i & 1u) != 0)
                snprintf (known + strlen (known), sizeof known - strlen (known), " %s", wb_number_names[i]);
        return WB_FAIL (WB_EUSAGE, "--type %s: %s can hold%s", wb_number_names[x->type], to->name, known);
    }
    if (x->clean && !to->cleans)
        return WB_FAIL (WB_EUSAGE, "--clean is for --to hf: no other format has a tokenizer that cleans");
    WB_TRY (open_weights (&w, from, path));
    w->out = x->out;
    wb_status status = to->write (x, w);
    if (status == WB_OK) status = tell_written (x, to);
    wb_weights_close (w);
    return status;
}

static wb_status export_tokens (const wb_export_t *x) {
    const wb_format_t *to = NULL;
    WB_TRY (writer_of (&to, x->to, true));
    if (x->type != WB_NUMBER_F32) return WB_FAIL (WB_EUSAGE, "--type is for models: %s holds tokens", x->from);
    if (x->clean) return WB_FAIL (WB_EUSAGE, "--clean is for models: %s holds tokens", x->from);
    WB_TRY (wb_tokens_export (x, to));
    return tell_written (x, to);
}

wb_status wb_convert_export (const wb_export_t *x) {
    const wb_format_t *from = NULL;
    char *named = NULL;
    wb_status status = look_at (&from, &named, x->from);
    if (status == WB_OK && from == &wb_format_tokens)
        status = export_tokens (x);
    else if (status == WB_OK)
        status = export_model (x, from, named);
    wb_free (named);
    return status;
}

static wb_status import_model (const wb_format_t *format, const char *path, const char *from, const char *out,
                               const char *tokenizer) {
    wb_weights_t *w;
    char count[32];
    wb_outdir_t dir = {0};
    WB_TRY (open_weights (&w, format, path));
    wb_status status = WB_OK;
    if (tokenizer != NULL) {
        wb_tokenizer_destroy (w->tokenizer);
        status = wb_tokenizer_new (&w->tokenizer, tokenizer);
        if (status == WB_OK && wb_tokenizer_size (w->tokenizer) > w->size.V)
            status = WB_FAIL (WB_EDATA, "tokenizer %s has %d ids, model %s has %lld: they do not belong together",
                              tokenizer, (int) wb_tokenizer_size (w->tokenizer), from, (long long) w->size.V);
    }
    w->out = out;
    if (status == WB_OK) status = wb_outdir_begin (&dir, out);
    if (status == WB_OK) status = wb_hf_model (&dir, w, WB_NUMBER_F32, INT64_MAX);
    if (status == WB_OK) status = wb_outdir_end (&dir);
    wb_outdir_cancel (&dir);
    if (status == WB_OK) {
        wb_info ("%s: %s parameters", out, wb_format_count (count, w->params->total));
        if (w->tokenizer == NULL)
            wb_warn ("%s: %s", from,
                     w->lost != NULL ? w->lost : "has no tokenizer that wabun knows: --tokenizer puts one in");
    }
    wb_weights_close (w);
    return status;
}

wb_status wb_convert_import (const char *from, const char *out, const char *tokenizer) {
    const wb_format_t *format = NULL;
    char *named = NULL;
    wb_status status = look_at (&format, &named, from);
    if (status == WB_OK && format->read_ids != NULL)
        status = wb_tokens_import (format, named, out, tokenizer);
    else if (status == WB_OK)
        status = import_model (format, named, from, out, tokenizer);
    wb_free (named);
    return status;
}
