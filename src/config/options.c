/* The table of all options: the rooms' own tables one after the other, each with the place of its struct in a
 * configuration.
 *
 * A new option is a row in its room's options.c and a field in its struct; a new room is a line in `rooms` below.  Not
 * here: the options of `wabun` subcommands (base/options.c walks over those). */
#include "config.h"

#include <string.h>

#include "config/config_priv.h"

#define AT(field) WB_OPTION_AT (wb_config_t, field)

/* What belongs to no other room. */
static const wb_option_t top[] = {
    {"run", WB_OPTION_TEXT, AT (run.dir), "=must be given", .unit = "directory",
     .help = "run directory: metrics, checkpoints, resolved configuration"},
    {"seed", WB_OPTION_INT, AT (seed), "1", .max = WB_OPTION_MANY,
     .help = "seed of weights, order of samples and generated text"},
    {"tokenizer", WB_OPTION_TEXT, AT (tokenizer), "=that of model.base, or none", .unit = "tokenizer",
     .help = "`byte`, a vocabulary directory or a model directory"},
    {0},
};

const char *const wb_background_names[] = {"false", "true", "auto", NULL};

/* Of room run, which is above this one. */
static const wb_option_t run[] = {
    {"train.bad_steps", WB_OPTION_INT, AT (run.bad_steps), "3", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "bad steps (NaN, infinity, train.loss_rise) that are skipped in a row"},
    {"train.spike_z", WB_OPTION_FLOAT, AT (run.spike_z), "8", .max = 1e6, .unit = "deviations",
     .help = "report a loss or gradient norm so many deviations above its mean of late; 0: none"},
    {"train.spike_window", WB_OPTION_INT, AT (run.spike_window), "100", .min = 2, .max = WB_OPTION_MANY,
     .unit = "steps", .help = "steps that this mean is of"},
    {"train.spike_skip", WB_OPTION_BOOL, AT (run.spike_skip), "false",
     .help = "such steps are skipped, up to train.bad_steps in a row"},
    {"train.loss_rise", WB_OPTION_FLOAT, AT (run.loss_rise), "0", .max = 1e6, .unit = "nats",
     .help = "a loss so far above its lowest mean is bad, as NaN is; 0: none is"},
    {"train.rollback", WB_OPTION_INT, AT (run.rollback), "0", .max = 64, .unit = "times",
     .help = "when numbers have gone bad: back to a good checkpoint, without the batches that led there"},
    {"checkpoint.every", WB_OPTION_INT, AT (run.checkpoint_every), "500", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps between checkpoints; 0: at the end only"},
    {"checkpoint.keep", WB_OPTION_INT, AT (run.checkpoint_keep), "5", .max = 1e6,
     .help = "newest checkpoints that are kept; 0: all"},
    {"checkpoint.keep_best", WB_OPTION_BOOL, AT (run.checkpoint_best), "false",
     .help = "save at each new lowest validation loss, keep the last of them: RUN/best"},
    {"checkpoint.background", WB_OPTION_CHOICE, AT (run.checkpoint_background), "auto", .choices = wb_background_names,
     .help = "written while steps go on, from a copy in memory; auto: where there is room"},
    {"checkpoint.archive", WB_OPTION_INT, AT (run.checkpoint_archive), "0", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps between checkpoints that stay for ever, in RUN/archive; 0: none"},
    {"checkpoint.failures", WB_OPTION_INT, AT (run.checkpoint_failures), "2", .max = WB_OPTION_MANY, .unit = "saves",
     .help = "saves that may fail in a row (not the last one)"},
    {"validation.every", WB_OPTION_INT, AT (run.validation_every), "250", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps between validations; 0: never"},
    {"validation.samples", WB_OPTION_INT, AT (run.validation_samples), "64", .max = WB_OPTION_MANY, .unit = "windows",
     .help = "windows of data.validation used; 0: all"},
    {"validation.patience", WB_OPTION_INT, AT (run.validation_patience), "0", .max = WB_OPTION_MANY,
     .unit = "validations", .help = "end the run when so many in a row have no new lowest loss; 0: never"},
    {"log.every", WB_OPTION_INT, AT (run.log_every), "10", .min = 1, .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps between lines of the log and of metrics.jsonl"},
    {"report.tensorboard", WB_OPTION_BOOL, AT (run.tensorboard), "false",
     .help = "event files for TensorBoard in the run directory too: numbers and generated texts"},
    {"report.openmetrics", WB_OPTION_TEXT, AT (run.openmetrics), "", .unit = "file",
     .help = "the newest numbers in this file, for the textfile collector of node exporter (NAME.prom)"},
    {"sample.every", WB_OPTION_INT, AT (run.sample_every), "0", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps between generated texts, if a rank holds the whole model; 0: never"},
    {"sample.length", WB_OPTION_INT, AT (run.sample_length), "100", .min = 1, .max = 1048576, .unit = "tokens",
     .help = "length of a generated text"},
    {"sample.context", WB_OPTION_TEXT, AT (run.sample_context), "", .unit = "text",
     .help = "what a generated text begins with (its end, where it is longer than the model's context)"},
    {"watchdog.enabled", WB_OPTION_BOOL, AT (run.watchdog), "true",
     .help = "notice ranks that hang; false for a debugger"},
    {"watchdog.warn", WB_OPTION_FLOAT, AT (run.watchdog_warn), "60", .open = WB_OPTION_ABOVE, .max = WB_OPTION_MANY,
     .unit = "seconds",
     .help = "without progress in a step: say which rank is late, and in what; a mean step at least"},
    {"watchdog.limit", WB_OPTION_FLOAT, AT (run.watchdog_limit), "600", .max = WB_OPTION_MANY, .unit = "seconds",
     .help = "without progress in a step: end the run with 76; three mean steps at least; 0: never"},
    {"watchdog.other", WB_OPTION_FLOAT, AT (run.watchdog_other), "3600", .max = WB_OPTION_MANY, .unit = "seconds",
     .help = "the same limit in start, first step, loading, validation and saving; 0: never"},
    {0},
};

static const struct wb_table_room train[] = {
    {top, 0},
    {wb_model_options, offsetof (wb_config_t, model)},
    {wb_data_options, offsetof (wb_config_t, data)},
    {wb_parallel_options, offsetof (wb_config_t, parallel)},
    {wb_train_options, offsetof (wb_config_t, step)},
    {run, 0},
};
const wb_table_t wb_table_train = {"train", train, sizeof train / sizeof *train};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

bool wb_table_row (wb_row_t *out, const wb_table_t *t, int i) {
    for (int r = 0; r < t->nrooms; r++)
        for (const wb_option_t *o = t->rooms[r].rows; o->path != NULL; o++)
            if (i-- == 0) {
                *out = (wb_row_t){o, t->rooms[r].base};
                return true;
            }
    return false;
}

bool wb_table_find (wb_row_t *out, const wb_table_t *t, const char *path) {
    for (int i = 0; wb_table_row (out, t, i); i++)
        if (strcmp (out->o->path, path) == 0) return true;
    return false;
}

int64_t wb_field_int (const wb_option_t *o, const void *field) {
    if (o->size == sizeof (bool)) return *(const bool *) field;
    if (o->size == sizeof (int)) return *(const int *) field;
    WB_ASSERT (o->size == sizeof (int64_t));
    return *(const int64_t *) field;
}

void wb_field_set_int (const wb_option_t *o, void *field, int64_t x) {
    if (o->size == sizeof (bool)) {
        *(bool *) field = x != 0;
    } else if (o->size == sizeof (int)) {
        *(int *) field = wb_int (x);
    } else {
        WB_ASSERT (o->size == sizeof (int64_t));
        *(int64_t *) field = x;
    }
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

size_t wb_path_group_bytes (const char *path) {
    const char *dot = strchr (path, '.');
    return dot != NULL ? (size_t) (dot - path) : 0;
}

const char *wb_path_leaf (const char *path) {
    const char *dot = strrchr (path, '.');
    return dot != NULL ? dot + 1 : path;
}

bool wb_path_is_group (const wb_table_t *t, const char *name) {
    const size_t n = strlen (name);
    wb_row_t r;
    for (int i = 0; wb_table_row (&r, t, i); i++)
        if (n > 0 && wb_path_group_bytes (r.o->path) == n && memcmp (r.o->path, name, n) == 0) return true;
    return false;
}

const char *wb_option_range (char *buf, size_t size, const wb_option_t *o) {
    const char *number = o->kind == WB_OPTION_INT ? "%.0f" : "%.10g";
    const char *left = (o->open & WB_OPTION_ABOVE) != 0 ? "<" : "<=";
    const char *right = (o->open & WB_OPTION_BELOW) != 0 ? "<" : "<=";
    char low[32], high[32];
    snprintf (low, sizeof low, number, o->min);
    snprintf (high, sizeof high, number, o->max);
    buf[0] = 0;
    if (o->kind != WB_OPTION_INT && o->kind != WB_OPTION_FLOAT && o->kind != WB_OPTION_PARTS) return buf;
    if (o->max >= WB_OPTION_MANY)
        snprintf (buf, size, "x %s %s", (o->open & WB_OPTION_ABOVE) != 0 ? ">" : ">=", low);
    else
        snprintf (buf, size, "%s %s x %s %s", low, left, right, high);
    return buf;
}

/* What other trainers call it. */
static const char *other_name (const wb_table_t *t, const char *leaf) {
    static const char *const names[][2] = {
        {"learning_rate", "train.lr"},
        {"batch_size", "train.global_batch"},
        {"max_steps", "train.steps"},
        {"train_steps", "train.steps"},
        {"max_iters", "train.steps"},
        {"warmup_steps", "train.warmup"},
        {"grad_clip", "train.clip"},
        {"max_grad_norm", "train.clip"},
        {"hidden_size", "model.width"},
        {"n_embd", "model.width"},
        {"n_layer", "model.layers"},
        {"num_layers", "model.layers"},
        {"n_head", "model.heads"},
        {"num_heads", "model.heads"},
        {"block_size", "model.context"},
        {"seq_length", "model.context"},
        {"n_ctx", "model.context"},
        {"output_dir", "run"},
        {"out_dir", "run"},
        {"save_steps", "checkpoint.every"},
        {"save_interval", "checkpoint.every"},
        {"save_total_limit", "checkpoint.keep"},
    };
    wb_row_t r;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp (names[i][0], leaf) == 0 && wb_table_find (&r, t, names[i][1])) return names[i][1];
    return NULL;
}

/* A key may be misspelt, or be in the wrong group; its group may be misspelt; or it is another trainer's. */
wb_status wb_option_unknown (const wb_table_t *t, const char *path, const char *where) {
    const char *leaf = wb_path_leaf (path), *near = NULL;
    int best = 1 + (int) strlen (leaf) / 3;
    wb_row_t r;
    for (int i = 0; wb_table_row (&r, t, i); i++) {
        int far = wb_edit_distance (path, r.o->path);
        if (far > 1 && strcmp (leaf, wb_path_leaf (r.o->path)) == 0) far = 1;
        if (far < best || (far == best && near == NULL)) best = far, near = r.o->path;
    }
    for (int i = 0; wb_table_row (&r, t, i) && strchr (path, '.') == NULL; i++) {
        char group[32];
        snprintf (group, sizeof group, "%.*s", (int) wb_path_group_bytes (r.o->path), r.o->path);
        int far = wb_edit_distance (path, group);
        if (group[0] != 0 && (far < best || (far == best && near == NULL)))
            return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; did you mean `%s`?", where, path, group);
    }
    if (near == NULL) near = other_name (t, leaf);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; did you mean `%s`?", where, path, near);
    return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; `wabun help %s` lists all keys", where, path, t->command);
}
