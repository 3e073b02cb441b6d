/* the table of options: its rows, its help, and that every value written is read back the same */
#include "config.h"

#include <math.h>
#include <string.h>

#include "config/config_priv.h"
#include "t.h"
#include "unit/make_config.h"

/* Names of enums stand in their order. */
static void test_choices (void) {
    const struct {
        const char *const *names;
        const char *name;
        int value;
    } some[] = {{wb_optim_names, "adamw", WB_OPTIM_ADAMW},
                {wb_optim_names, "adam", WB_OPTIM_ADAM},
                {wb_optim_names, "adam_tf1", WB_OPTIM_ADAM_TF1},
                {wb_optim_names, "adagrad", WB_OPTIM_ADAGRAD},
                {wb_optim_names, "sgd", WB_OPTIM_SGD},
                {wb_optim_names, "muon", WB_OPTIM_MUON},
                {wb_decay_names, "cosine", WB_DECAY_COSINE},
                {wb_decay_names, "linear", WB_DECAY_LINEAR},
                {wb_decay_names, "constant", WB_DECAY_CONSTANT},
                {wb_muon_layout_names, "auto", WB_MUON_AUTO},
                {wb_muon_layout_names, "whole", WB_MUON_WHOLE},
                {wb_muon_layout_names, "grid", WB_MUON_GRID},
                {wb_recompute_names, "none", WB_RECOMPUTE_NONE},
                {wb_recompute_names, "attention", WB_RECOMPUTE_ATTENTION},
                {wb_recompute_names, "block", WB_RECOMPUTE_BLOCK},
                {wb_wire_names, "fp32", WB_WIRE_FP32},
                {wb_wire_names, "bf16", WB_WIRE_BF16},
                {wb_precision_names, "fp32", WB_PRECISION_FP32},
                {wb_precision_names, "bf16", WB_PRECISION_BF16},
                {wb_precision_names, "bf16-anywhere", WB_PRECISION_BF16_ANYWHERE},
                {wb_schedule_names, "gpipe", WB_SCHEDULE_GPIPE},
                {wb_schedule_names, "1f1b", WB_SCHEDULE_1F1B},
                {wb_decay_names, "no", -1}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        T_OK (wb_choice (some[i].names, some[i].name) == some[i].value, "%s", some[i].name);
}

/* The table itself: groups are together, fields do not overlap, choices have an int. */
static void test_rows (void) {
    wb_row_t r, s;
    char seen[512] = " ";
    const char *before = "";
    for (int i = 0; wb_row_at (&r, i); i++) {
        const wb_option_t *o = r.o;
        const size_t at = r.base + o->offset, n = wb_path_group_bytes (o->path);
        char group[64];
        T_OK (o->help != NULL && o->fallback != NULL, "%s", o->path);
        T_OK (o->kind != WB_OPTION_CHOICE || (o->choices != NULL && o->size == sizeof (int)), "%s", o->path);
        T_OK (o->kind != WB_OPTION_FLOAT || o->size == sizeof (double), "%s", o->path);
        T_OK (o->kind != WB_OPTION_BOOL || o->size == sizeof (bool), "%s", o->path);
        T_OK (o->kind != WB_OPTION_TEXT || o->size == sizeof (char *), "%s", o->path);
        T_OK (o->kind != WB_OPTION_PARTS || o->size == sizeof (wb_option_parts_t), "%s", o->path);
        for (int j = 0; j < i && wb_row_at (&s, j); j++)
            T_OK (at >= s.base + s.o->offset + s.o->size || at + o->size <= s.base + s.o->offset, "%s and %s", o->path,
                  s.o->path);
        if (n == 0 || strncmp (before, o->path, n + 1) != 0) {
            snprintf (group, sizeof group, " %.*s. ", n > 0 ? (int) n : 40, o->path);
            T_OK (strstr (seen, group) == NULL, "the members of %s are not together", group);
            strcat (seen, group + 1);
        }
        before = o->path;
    }
}

/* Whatever the table knows is settable: the help lists the keys. */
static void test_table (void) {
    const char *path = t_tmp ("help");
    FILE *f = fopen (path, "w");
    if (!T_OK (f != NULL, "scratch file")) return;
    wb_config_help (f, false);
    fclose (f);
    char *text;
    size_t bytes;
    int keys = 0;
    if (!T_STATUS (wb_file_read (&text, &bytes, path), WB_OK)) return;
    for (char *line = strtok (text, "\n"); line != NULL; line = strtok (NULL, "\n")) {
        char key[64], set[128], want[128];
        T_OK (strlen (line) <= 120, "%s", line);
        if (line[0] != ' ' || line[1] != ' ' || line[2] == ' ' || sscanf (line, "%60s", key) != 1) continue;
        keys++;
        /* A group as value is wrong for all of them, and says so with the key's name. */
        snprintf (set, sizeof set, "%s={", key);
        wb_config_t *c;
        wb_status status = make (&c, BASE, set);
        bool string = status == WB_OK || strcmp (key, "model.base") == 0;
        snprintf (want, sizeof want, "--set %s: ", key);
        T_OK (string || (status == WB_EUSAGE && strncmp (wb_error_get ()->text, want, strlen (want)) == 0), "%s: %s",
              set, wb_error_get ()->text);
        wb_error_clear ();
        wb_config_destroy (c);
    }
    T_OK (keys == 75, "%d keys: test_set should know all but model.base, and what finetune.sh sets", keys);
    wb_free (text);
    f = fopen (path, "w");
    if (!T_OK (f != NULL, "scratch file")) return;
    wb_config_help (f, true);
    fclose (f);
    if (!T_STATUS (wb_file_read (&text, &bytes, path), WB_OK)) return;
    T_OK (strncmp (text, ".TP\n.B run\n", 11) == 0 && strstr (text, ".B train.lr\n") != NULL, "man page");
    wb_free (text);
}

/* A field as --set would have it: written and read back it must be the same. */
static void round_trip (const wb_row_t *r, const char *value) {
    wb_config_t c = {.path = NULL}, d = {.path = NULL};
    const size_t n = r->o->size;
    if (T_STATUS (wb_config_set_defaults (&c), WB_OK) && T_STATUS (wb_config_set_defaults (&d), WB_OK) &&
        T_STATUS (wb_config_put_text (&c, r, value, r->o->path), WB_OK)) {
        if (isnan (c.step.optim.min_lr)) c.step.optim.min_lr = 0;
        char *text = wb_config_text (&c);
        if (T_OK (text != NULL, "text") && T_STATUS (wb_config_read (&d, text, strlen (text), "text"), WB_OK))
            T_OK (memcmp (wb_row_value (r, &c), wb_row_value (r, &d), n) == 0, "%s = %s:\n%s", r->o->path, value, text);
        wb_free (text);
    }
    wb_config_clear (&c);
    wb_config_clear (&d);
}

/* Every number at its least, at its greatest and next to them; every choice. */
static void test_extremes (void) {
    wb_row_t r;
    char text[64];
    for (int i = 0; wb_row_at (&r, i); i++) {
        const wb_option_t *o = r.o;
        if (wb_option_has_default (o) && o->kind != WB_OPTION_TEXT) round_trip (&r, o->fallback);
        if (o->kind == WB_OPTION_INT) {
            const double at[] = {o->min, o->min + 1, o->max > o->min + 1 ? o->max - 1 : o->max, o->max, 4294967297.0};
            for (int k = 0; k < 5; k++) {
                if (at[k] > o->max) continue;
                snprintf (text, sizeof text, "%.0f", at[k]);
                round_trip (&r, text);
            }
        }
        if (o->kind == WB_OPTION_FLOAT) {
            const double low = (o->open & WB_OPTION_ABOVE) != 0 ? nextafter (o->min, o->max) : o->min;
            const double high = isinf (o->max) || (o->open & WB_OPTION_BELOW) != 0 ? nextafter (o->max, 0) : o->max;
            const double at[] = {low, high, low / 2 + high / 2, high / 3};
            for (int k = 0; k < 4; k++) {
                snprintf (text, sizeof text, "%.17g", at[k]);
                round_trip (&r, text);
            }
        }
        for (int k = 0; o->kind == WB_OPTION_CHOICE && o->choices[k] != NULL; k++) round_trip (&r, o->choices[k]);
        if (o->kind == WB_OPTION_BOOL) round_trip (&r, "true"), round_trip (&r, "false");
    }
}

int main (void) {
    test_choices ();
    test_rows ();
    test_table ();
    test_extremes ();
    return T_DONE ();
}
