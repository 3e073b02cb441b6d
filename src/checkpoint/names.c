/* Under which names a model's tensors are in its files, which other programs may have written.
 *
 * Names may have something before them ("transformer.", "module.transformer.", ...): what is the same before all names
 * of the table.  An output layer beside the embedding must equal it; alone it stands for it.  GPT-2's buffers (masks)
 * are ignored; other tensors too, with a warning.
 *
 * Not done here: other names and transposed tensors (import), values (load.c). */
#include "config.h"

#include <string.h>

#include "checkpoint/source.h"

/* ---- all tensors ------------------------------------------------------------------------------------------------- */

/* All tensors, file by file: `for (place_t t = {0}; next (s, &t);)`. */
typedef struct place {
    int file, i;
    const wb_st_tensor_t *tensor;
} place_t;

static bool next (const wb_source_t *s, place_t *t) {
    if (t->tensor != NULL) t->i++;
    while (t->file < s->nfiles && t->i >= s->files[t->file].st->n) t->file++, t->i = 0;
    if (t->file >= s->nfiles) return false;
    t->tensor = &s->files[t->file].st->tensors[t->i];
    return true;
}

/* Is it NAME, or something that ends with a point and NAME?  Then the bytes before NAME. */
static bool ends_with (size_t *before, const char *full, const char *name) {
    const size_t n = strlen (full), m = strlen (name);
    *before = n - m;
    return n >= m && strcmp (full + n - m, name) == 0 && (n == m || full[n - m - 1] == '.');
}

/* A tensor by its full name.  Errors: it is there twice. */
static wb_status lookup (place_t *out, const wb_source_t *s, const char *name) {
    *out = (place_t){0};
    for (place_t t = {0}; next (s, &t);) {
        if (strcmp (t.tensor->name, name) != 0) continue;
        if (out->tensor != NULL)
            return WB_FAIL (WB_EDATA, "tensor '%.100s' is in %s and in %s", name, s->files[out->file].path,
                            s->files[t.file].path);
        *out = t;
    }
    return WB_OK;
}

static void full_name (char name[256], const char *before, const wb_param_t *p) {
    const int n = snprintf (name, 256, "%s%s", before, p->name);
    WB_ASSERT (n > 0 && n < 256);
}

/* The parameters whose names are looked for: of the table, or without one of the segments. */
typedef struct wanted {
    const wb_ckpt_set_t *set;
    const wb_segment_t *segments;
    int n;
} wanted_t;

static const wb_param_t *param (const wanted_t *w, int i) {
    return w->set->params != NULL ? &w->set->params[i] : w->segments[i].param;
}

static int count_found (const wb_source_t *s, const wanted_t *w, const char *before) {
    int found = 0;
    for (int i = 0; i < w->n; i++) {
        char name[256];
        place_t t;
        full_name (name, before, param (w, i));
        for (t = (place_t){0}; next (s, &t);)
            if (strcmp (t.tensor->name, name) == 0) break;
        found += t.file < s->nfiles;
    }
    return found;
}

/* Choose what stands before all names.  Where it is there more than once, a model without anything, then Hugging Face's
 * "transformer.", go first. */
static wb_status choose_prefix (wb_source_t *s, const wanted_t *w) {
    static const char *const usual[] = {"", "transformer."};
    const int ends[] = {0, w->n > 1, w->n - 1};
    int best = -1;
    bool twice = false;
    char other[sizeof s->prefix] = "";
    for (int i = 0; i < 2; i++) {
        const int found = count_found (s, w, usual[i]);
        if (found > best) best = found, snprintf (s->prefix, sizeof s->prefix, "%s", usual[i]);
        if (found == w->n) return WB_OK;
    }
    for (place_t t = {0}; next (s, &t);)
        for (int i = 0; i < 3; i++) {
            char before[sizeof s->prefix];
            size_t n;
            if (!ends_with (&n, t.tensor->name, param (w, ends[i])->name) || n >= sizeof before) continue;
            snprintf (before, sizeof before, "%.*s", (int) n, t.tensor->name);
            if (strcmp (before, s->prefix) == 0 || strcmp (before, other) == 0) continue;
            const int found = count_found (s, w, before);
            if (found < best) continue;
            if (found == best && found > 0) snprintf (other, sizeof other, "%s", before);
            twice = found == best && found > 0;
            if (found > best) best = found, snprintf (s->prefix, sizeof s->prefix, "%s", before);
        }
    if (twice && best > w->n / 2)
        return WB_FAIL (WB_EDATA, "%s: there are two models in it, under the names '%sNAME' and '%sNAME'", s->name,
                        s->prefix, other);
    return WB_OK;
}

/* Tensors that the table does not have: a layer too many is an error, for the model would compute something else. */
static wb_status check_others (const wb_source_t *s, const wb_ckpt_set_t *set) {
    const size_t n = strlen (s->prefix);
    const char *first = NULL;
    int others = 0, layers = 0;
    for (int i = 0; i < set->nparams; i++)
        if (set->params[i].layer > layers) layers = set->params[i].layer; /* that of the final LayerNorm */
    for (place_t t = {0}; next (s, &t);) {
        const char *name = t.tensor->name;
        size_t before;
        long long layer;
        bool known = ends_with (&before, name, "lm_head.weight") || ends_with (&before, name, "attn.bias") ||
                     ends_with (&before, name, "attn.masked_bias");
        if (strncmp (name, s->prefix, n) == 0) {
            if (sscanf (name + n, "h.%lld.", &layer) == 1 && layer >= layers)
                return WB_FAIL (WB_EDATA,
                                "%s: tensor '%.100s' belongs to a layer that the model, with %d layer%s, does not have",
                                s->files[t.file].path, name, layers, wb_plural (layers));
            for (int i = 0; i < set->nparams && !known; i++) known = strcmp (name + n, set->params[i].name) == 0;
        }
        if (!known && others++ == 0) first = name;
    }
    if (others > 0)
        wb_warn ("%s: %d %s not part of GPT-2 and left out: %s%s", s->name, others,
                 others == 1 ? "tensor is" : "tensors are", first, others > 1 ? ", ..." : "");
    return WB_OK;
}

wb_status wb_source_names (wb_source_t *s, const wb_ckpt_set_t *set, const wb_segment_t *segments, int nsegments) {
    const wanted_t w = {set, segments, set->params != NULL ? set->nparams : nsegments};
    snprintf (s->prefix, sizeof s->prefix, "%s", set->prefix);
    if (set->prefix[0] != 0 || w.n == 0) return WB_OK;
    WB_TRY (choose_prefix (s, &w));
    return set->params != NULL ? check_others (s, set) : WB_OK;
}

/* ---- one tensor ------------------------------------------------------------------------------------------------ */

/* "[300, 48]" */
static const char *shape_text (char buf[200], const int64_t *shape, int ndim) {
    size_t used = (size_t) snprintf (buf, 200, "[");
    for (int i = 0; i < ndim && i < 8; i++)
        used += (size_t) snprintf (buf + used, 200 - used, "%s%lld", i > 0 ? ", " : "", (long long) shape[i]);
    snprintf (buf + used, 200 - used, "]");
    return buf;
}

/* "; nearest are 'a' and 'b'" */
static void nearest_names (char *out, size_t bytes, const wb_source_t *s, const char *name) {
    const char *best[2] = {NULL, NULL};
    int far[2] = {0, 0};
    for (place_t t = {0}; next (s, &t);) {
        const int d = wb_edit_distance (name, t.tensor->name);
        if (best[0] == NULL || d < far[0])
            best[1] = best[0], far[1] = far[0], best[0] = t.tensor->name, far[0] = d;
        else if (best[1] == NULL || d < far[1])
            best[1] = t.tensor->name, far[1] = d;
    }
    out[0] = 0;
    if (best[1] != NULL)
        snprintf (out, bytes, "; nearest are '%.100s' and '%.100s'", best[0], best[1]);
    else if (best[0] != NULL)
        snprintf (out, bytes, "; there is '%.100s'", best[0]);
}

static wb_status missing (const wb_source_t *s, const char *name, const char *shape) {
    char nearest[256];
    nearest_names (nearest, sizeof nearest, s, name);
    return WB_FAIL (WB_EDATA,
                    "%s: no tensor '%s' %s among its %d%s; is it another kind of model, or has the configuration "
                    "(model.layers) other sizes?",
                    s->name, name, shape, s->tensors, nearest);
}

/* The output layer that stands for an embedding which is not there. */
static wb_status find_head (place_t *out, const wb_source_t *s) {
    size_t before;
    *out = (place_t){0};
    for (place_t t = {0}; next (s, &t);) {
        if (!ends_with (&before, t.tensor->name, "lm_head.weight")) continue;
        if (out->tensor != NULL)
            return WB_FAIL (WB_EDATA, "%s: there are '%.100s' and '%.100s', and no embedding", s->name,
                            out->tensor->name, t.tensor->name);
        *out = t;
    }
    return WB_OK;
}

wb_status wb_source_find (const wb_st_tensor_t **out, wb_source_file_t **file, const wb_source_t *s,
                          const wb_param_t *p) {
    char name[256], want[200], have[200];
    place_t t;
    const int64_t two[2] = {p->rows, p->cols}, *shape = p->ndim == 1 ? two + 1 : two;
    full_name (name, s->prefix, p);
    shape_text (want, shape, p->ndim);
    WB_TRY (lookup (&t, s, name));
    if (t.tensor == NULL && p->role == WB_ROLE_WTE) WB_TRY (find_head (&t, s));
    if (t.tensor == NULL) return missing (s, name, want);
    *out = t.tensor;
    *file = &s->files[t.file];
    bool same = t.tensor->ndim == p->ndim;
    for (int i = 0; i < p->ndim && same; i++) same = t.tensor->shape[i] == shape[i];
    if (!same) {
        const int64_t *is = t.tensor->shape;
        const bool transposed = t.tensor->ndim == 2 && p->ndim == 2 && is[0] == p->cols && is[1] == p->rows;
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' is %s there, but %s is wanted; %s", (*file)->path, t.tensor->name,
                        shape_text (have, is, t.tensor->ndim), want,
                        transposed
                            ? "it is transposed: linear layers are stored [in, out], as Hugging Face's GPT-2 has them"
                            : "the configuration (model.*, the tokenizer's size) has other sizes than this model");
    }
    if (wb_st_element_bytes (t.tensor->dtype) == 0)
        return WB_FAIL (WB_EDATA, "%s: tensor '%s' is not of type F32, F16, BF16 or F64", (*file)->path,
                        t.tensor->name);
    if (t.tensor->end > wb_pfile_size ((*file)->file))
        return WB_FAIL (WB_EDATA, "%s: became shorter while it was read", (*file)->path);
    return WB_OK;
}

/* ---- the output layer -------------------------------------------------------------------------------------------- */

/* Elements first .. first + n - 1 of a tensor as floats. */
static wb_status read_floats (float *out, char *buf, const wb_source_t *s, const place_t *t, int64_t first, int64_t n) {
    const int64_t size = wb_st_element_bytes (t->tensor->dtype);
    WB_TRY (wb_pfile_read (s->files[t->file].file, buf, (size_t) (n * size), t->tensor->begin + first * size));
    wb_st_widen (out, buf, n, t->tensor->dtype);
    return WB_OK;
}

/* Compare every size-th piece of the two, from this rank's first on. */
static wb_status compare (const wb_source_t *s, const place_t *wte, const place_t *head, int rank, int ranks) {
    enum { PIECE = 1 << 18 };
    const int64_t all = (wte->tensor->end - wte->tensor->begin) / wb_st_element_bytes (wte->tensor->dtype);
    char *buf = wb_malloc (PIECE * sizeof (double));
    float *a = wb_malloc (PIECE * sizeof *a), *b = wb_malloc (PIECE * sizeof *b);
    wb_status status = buf != NULL && a != NULL && b != NULL ? WB_OK : WB_NOMEM ("comparing the output layer");
    for (int64_t at = (int64_t) rank * PIECE; at < all && status == WB_OK; at += (int64_t) ranks * PIECE) {
        const int64_t n = all - at < PIECE ? all - at : PIECE;
        status = read_floats (a, buf, s, wte, at, n);
        if (status == WB_OK) status = read_floats (b, buf, s, head, at, n);
        if (status == WB_OK && memcmp (a, b, (size_t) n * sizeof *a) != 0)
            status =
                WB_FAIL (WB_EDATA,
                         "%s: tensor '%.100s' is not equal to '%.100s': wabun computes only models whose output is "
                         "tied to their embedding",
                         s->files[head->file].path, head->tensor->name, wte->tensor->name);
    }
    wb_free (buf);
    wb_free (a);
    wb_free (b);
    return status;
}

static bool same_shape (const wb_st_tensor_t *a, const wb_st_tensor_t *b) {
    bool same = a->ndim == b->ndim && wb_st_element_bytes (a->dtype) > 0 && wb_st_element_bytes (b->dtype) > 0;
    for (int i = 0; i < a->ndim && same; i++) same = a->shape[i] == b->shape[i];
    return same;
}

wb_status wb_source_check_head (const wb_source_t *s, const wb_ckpt_set_t *set, int rank, int ranks) {
    place_t wte = {0};
    for (int i = 0; i < set->nparams && wte.tensor == NULL; i++) {
        char name[256];
        if (set->params[i].role != WB_ROLE_WTE) continue;
        full_name (name, s->prefix, &set->params[i]);
        WB_TRY (lookup (&wte, s, name));
    }
    if (wte.tensor == NULL) return WB_OK; /* wb_source_find() takes the output layer instead */
    for (place_t t = {0}; next (s, &t);) {
        size_t before;
        if (!ends_with (&before, t.tensor->name, "lm_head.weight")) continue;
        if (!same_shape (wte.tensor, t.tensor))
            return WB_FAIL (WB_EDATA,
                            "%s: tensor '%.100s' has another shape or type than '%.100s': wabun computes only "
                            "models whose output is tied to their embedding",
                            s->files[t.file].path, t.tensor->name, wte.tensor->name);
        WB_TRY (compare (s, &wte, &t, rank, ranks));
    }
    return WB_OK;
}
