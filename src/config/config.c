/* A configuration from its beginning to its end.
 *
 * A value comes from three places, later ones win: the default in its room's table, the file, --set.  What needs two
 * options is checked last, and only so far as it needs no ranks: wb_trainer_layout() does the rest.  Files that a
 * configuration names are not opened here (resolve.c opens the tokenizer, room run the rest). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "config/config_priv.h"

static wb_status set_default (void *c, const wb_row_t *r) {
    void *field = wb_row_field (r, c);
    if (wb_option_has_default (r->o)) return wb_config_put_text (c, r, r->o->fallback, r->o->path);
    if (r->o->kind == WB_OPTION_FLOAT) *(double *) field = NAN; /* wb_config_check() fills it in */
    if (r->o->kind == WB_OPTION_CHOICE) wb_field_set_int (r->o, field, -1);
    return WB_OK;
}

wb_status wb_table_defaults (const wb_table_t *t, void *c) {
    wb_row_t r;
    for (int i = 0; wb_table_row (&r, t, i); i++) WB_TRY (set_default (c, &r));
    return WB_OK;
}

wb_status wb_members_defaults (const wb_option_t *o, void *into) {
    for (const wb_option_t *m = o->members; m->path != NULL; m++) WB_TRY (set_default (into, &(wb_row_t){m, 0}));
    return WB_OK;
}

wb_status wb_table_fill (const wb_table_t *t, void *c, const char *text, size_t bytes, const char *path,
                         const char *const *sets, int nsets) {
    WB_TRY (wb_table_defaults (t, c));
    WB_TRY (wb_table_read (t, c, text, bytes, path));
    for (int i = 0; i < nsets; i++) WB_TRY (wb_table_read_set (t, c, sets[i]));
    return WB_OK;
}

static wb_status fill (wb_config_t *c, const char *text, size_t bytes, const char *path, const char *const *sets,
                       int nsets) {
    WB_TRY (wb_config_set_string (&c->path, path));
    WB_TRY (wb_table_fill (&wb_table_train, c, text, bytes, path, sets, nsets));
    return wb_config_check (c);
}

wb_status wb_config_from_text (wb_config_t **out, const char *text, size_t bytes, const char *path,
                               const char *const *sets, int nsets) {
    *out = NULL;
    wb_config_t *c = wb_calloc (1, sizeof *c);
    if (c == NULL) return WB_NOMEM ("the configuration");
    wb_status status = fill (c, text, bytes, path, sets, nsets);
    if (status != WB_OK) {
        wb_config_destroy (c);
        return status;
    }
    *out = c;
    return WB_OK;
}

wb_status wb_config_new (wb_config_t **out, const char *path, const char *const *sets, int nsets) {
    char *text;
    size_t bytes;
    *out = NULL;
    if (wb_file_is_dir (path)) return WB_FAIL (WB_EIO, "%s: is a directory, not a configuration file", path);
    WB_TRY (wb_file_read (&text, &bytes, path));
    wb_status status = wb_config_from_text (out, text, bytes, path, sets, nsets);
    wb_free (text);
    return status;
}

static void clear_field (const wb_option_t *o, void *field) {
    if (o->kind == WB_OPTION_TEXT) wb_free (*(char **) field);
    if (o->kind == WB_OPTION_PARTS) wb_parts_clear (field);
    if (o->kind == WB_OPTION_GROUPS) wb_groups_clear (o, field);
}

void wb_groups_clear (const wb_option_t *o, wb_option_groups_t *g) {
    for (int i = 0; i < g->n; i++)
        for (const wb_option_t *m = o->members; m->path != NULL; m++)
            clear_field (m, (char *) g->list + (size_t) i * o->member_bytes + m->offset);
    wb_free (g->list);
    *g = (wb_option_groups_t){0};
}

void wb_table_clear (const wb_table_t *t, void *c) {
    wb_row_t r;
    for (int i = 0; wb_table_row (&r, t, i); i++) clear_field (r.o, wb_row_field (&r, c));
}

void wb_config_clear (wb_config_t *c) {
    wb_table_clear (&wb_table_train, c);
    wb_free (c->path);
}

void wb_config_destroy (wb_config_t *c) {
    if (c == NULL) return;
    wb_config_clear (c);
    wb_free (c);
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

wb_status wb_config_args_option (wb_config_args_t *a, wb_opts_t *o, bool *taken) {
    *taken = true;
    if (wb_opts_is (o, "--set")) {
        if (a->nsets == WB_CONFIG_MAX_SETS)
            return WB_FAIL (WB_EUSAGE, "--set is given more than %d times: write a configuration file",
                            WB_CONFIG_MAX_SETS);
        WB_TRY (wb_opts_text (o, &a->sets[a->nsets]));
        a->nsets++;
    } else if (wb_opts_is_file (o)) {
        const char *set = a->nsets > 0 ? a->sets[a->nsets - 1] : "=";
        if (strchr (set, '=') == NULL)
            return WB_FAIL (WB_EUSAGE, "--set %s %s: write --set %s=%s", set, o->arg, set, o->arg);
        if (a->path != NULL)
            return WB_FAIL (WB_EUSAGE, "two configurations, %s and %s: one is enough", a->path, o->arg);
        a->path = o->arg;
    } else {
        *taken = false;
    }
    return WB_OK;
}
