/* Configuration: one table of options, and everything that is made from it: parser, --set, help, manual page, resolved
 * text.
 *
 * A value comes from three places, later ones win: the default in the table (as text, parsed like the others), the file
 * (libconfig), --set (the bare value, or for lists what the file would have).  All end in put(), the only place that
 * checks type, choice and range.  What needs two options is checked in check(), and only so far as it needs no ranks:
 * wb_trainer_check() does the rest.  Files named here are not opened.
 *
 * Not done here: sizes that come from `model.base` or the tokenizer stay 0 (train.c fills them). */
#include "config.h"

#include <errno.h>
#include <libconfig.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wabun/config.h"

/* ---- the table ------------------------------------------------------------------------------------------------- */

enum kind { INT, FLOAT, BOOL, STRING, CHOICE, PARTS };
enum { ABOVE = 1, BELOW = 2 }; /* the bound itself is excluded */

struct option {
    const char *path;
    enum kind kind;
    size_t offset;
    const char *fallback; /* the default; "=..." says where it comes from when it is no constant */
    double min, max;
    unsigned open;
    const char *unit, *choices, *text;
};

#define AT(field) offsetof (wb_config_t, field)
#define INT_(path, field, fallback, min, max, unit, text) \
    { path, INT, AT (field), fallback, min, max, 0, unit, NULL, text }
#define FLOAT_(path, field, fallback, min, max, open, unit, text) \
    { path, FLOAT, AT (field), fallback, min, max, open, unit, NULL, text }
#define BOOL_(path, field, fallback, text) \
    { path, BOOL, AT (field), fallback, 0, 1, 0, "", NULL, text }
#define STRING_(path, field, fallback, unit, text) \
    { path, STRING, AT (field), fallback, 0, 0, 0, unit, NULL, text }
#define CHOICE_(path, field, fallback, choices, text) \
    { path, CHOICE, AT (field), fallback, 0, 0, 0, "", choices, text }
#define MANY 1e12
#define INF HUGE_VAL

/* Groups stand together, in the order of the resolved file.  Choices stand in the order of their enum. */
static const struct option options[] = {
    STRING_ ("run", run, "=must be given", "directory", "run directory: metrics, checkpoints, resolved configuration"),
    INT_ ("seed", seed, "1", 0, MANY, "", "seed of weights, order of samples and generated text"),
    STRING_ ("tokenizer", tokenizer, "=that of model.base, or none", "tokenizer",
             "`byte`, a vocabulary directory or a model directory"),

    CHOICE_ ("model.preset", preset, "=none", "tiny|small|medium|large|xl",
             "sizes by name; those below override it one by one"),
    STRING_ ("model.base", base, "=none", "directory", "start from the weights and sizes of this model"),
    INT_ ("model.layers", layers, "=of preset or base", 0, 4096, "layers", "transformer blocks"),
    INT_ ("model.width", width, "=of preset or base", 0, 131072, "floats", "width of the residual stream"),
    INT_ ("model.heads", heads, "=of preset or base", 0, 4096, "heads", "attention heads; they must divide the width"),
    INT_ ("model.context", context, "=of preset or base", 0, 1048576, "tokens", "positions the model has"),
    INT_ ("model.vocab_size", vocab_size, "=of tokenizer or base", 0, 67108864, "tokens", "size of the vocabulary"),

    {"data.train", PARTS, 0, "=must be given", 0, INF, ABOVE, "PREFIX", NULL,
     "token file, or a list of groups { tokens = PREFIX; weight = 1; }"},
    STRING_ ("data.validation", validation, "=none", "PREFIX", "token file for the validation loss"),
    BOOL_ ("data.shuffle", shuffle, "true", "draw the windows in random order; false: in the order of the file"),

    INT_ ("parallel.data", data, "0", 0, 1048576, "ranks", "copies of the model; 0: the ranks that are left over"),
    INT_ ("parallel.pipeline", pipeline, "1", 1, WB_MAX_STAGES, "ranks", "stages the layers are cut into"),
    INT_ ("parallel.tensor", tensor, "1", 1, 4096, "ranks", "slices each layer is cut into"),
    INT_ ("parallel.zero", zero, "1", 0, 1, "", "1: optimizer state is cut over the copies (ZeRO-1); 0: whole on each"),
    INT_ ("parallel.micro_batch", micro_batch, "0", 0, 65536, "sequences",
          "how many go through a stage at once; 0: by threads and memory"),
    CHOICE_ ("parallel.recompute", recompute, "none", "none|attention|block",
             "activations made again in the backward pass: less memory, more arithmetic"),
    INT_ ("parallel.interleave", interleave, "1", 1, WB_MAX_CHUNKS, "chunks",
          "chunks of layers a stage holds; wants 1f1b"),
    BOOL_ ("parallel.sequence_parallel", sequence_parallel, "false", "cut LayerNorms over the tensor ranks too"),
    CHOICE_ ("parallel.wire", wire, "fp32", "fp32|bf16", "gradients and weights on the network; bf16: half the bytes"),
    CHOICE_ ("parallel.schedule", schedule, "1f1b", "gpipe|1f1b", "order of micro-batches in the pipeline"),
    INT_ ("parallel.threads", threads, "0", 0, 4096, "threads",
          "threads of a rank; 0: OMP_NUM_THREADS, or cores / ranks on the node"),

    INT_ ("train.global_batch", global_batch, "64", 1, 1e7, "sequences", "sequences in a step, over all ranks"),
    INT_ ("train.steps", steps, "10000", 1, MANY, "steps", "steps in all, those before a resume included"),
    INT_ ("train.sequence_length", sequence_length, "0", 0, 1048576, "tokens", "window; 0: the context of the model"),
    CHOICE_ ("train.optimizer", optimizer, "adamw", "adamw|adam|adam_tf1|adagrad|sgd|muon",
             "adam_tf1: with eps as TensorFlow 1 places it; muon: matrices by Muon, the rest by AdamW"),
    FLOAT_ ("train.lr", lr, "6e-4", 0, INF, ABOVE, "", "highest learning rate"),
    INT_ ("train.warmup", warmup, "200", 0, MANY, "steps", "steps over which the rate rises from 0"),
    CHOICE_ ("train.decay", decay, "cosine", "cosine|linear|constant", "how the rate falls after the warm-up"),
    FLOAT_ ("train.min_lr", min_lr, "=train.lr / 10", 0, INF, 0, "", "learning rate of the last step"),
    FLOAT_ ("train.beta1", beta1, "0.9", 0, 1, BELOW, "", "Adam: mean of gradients"),
    FLOAT_ ("train.beta2", beta2, "0.95", 0, 1, BELOW, "", "Adam: mean of their squares"),
    FLOAT_ ("train.eps", eps, "1e-8", 0, 1, ABOVE, "", "Adam and Adagrad: added to the root"),
    FLOAT_ ("train.weight_decay", weight_decay, "0.1", 0, INF, 0, "", "decay of matrices (biases and norms have none)"),
    FLOAT_ ("train.clip", clip, "1", 0, INF, 0, "", "longest gradient of all parameters together; 0: not clipped"),

    FLOAT_ ("train.muon_momentum", muon_momentum, "0.95", 0, 1, BELOW, "", "Muon: how much of the last momentum stays"),
    BOOL_ ("train.muon_nesterov", muon_nesterov, "true", "Muon: look ahead along the momentum"),
    INT_ ("train.muon_steps", muon_steps, "5", 1, 20, "iterations", "Muon: Newton-Schulz iterations of an update"),
    FLOAT_ ("train.muon_rms", muon_rms, "0.2", 0, INF, ABOVE, "learning rates",
            "Muon: root mean square of an update; 0.2 is that of AdamW, whose learning rates then fit"),
    BOOL_ ("train.muon_split_qkv", muon_split_qkv, "true",
           "Muon: queries, keys and values are three matrices, not one"),
    CHOICE_ ("train.muon_layout", muon_layout, "auto", "auto|whole|grid",
             "Muon, zero = 1: a matrix belongs to one data rank, or several share it; auto: measured"),
    INT_ ("train.muon_check", muon_check, "0", 0, MANY, "steps",
          "Muon: steps between looks at the singular values of an update; 0: never"),

    INT_ ("checkpoint.every", ckpt_every, "500", 0, MANY, "steps", "steps between checkpoints; 0: at the end only"),
    INT_ ("checkpoint.keep", ckpt_keep, "5", 0, MANY, "", "newest checkpoints that are kept; 0: all"),

    INT_ ("validation.every", valid_every, "250", 0, MANY, "steps", "steps between validations; 0: never"),
    INT_ ("validation.samples", valid_samples, "64", 0, MANY, "windows", "windows of data.validation used; 0: all"),

    INT_ ("log.every", log_every, "10", 1, MANY, "steps", "steps between lines of the log and of metrics.jsonl"),

    INT_ ("sample.every", sample_every, "0", 0, MANY, "steps",
          "steps between generated texts, if a rank holds the whole model; 0: never"),
    INT_ ("sample.length", sample_length, "100", 1, 1048576, "tokens", "length of a generated text"),
    STRING_ ("sample.context", sample_context, "", "text",
             "what a generated text begins with (its end, where it is longer than the model's context)"),
};
enum { N = sizeof options / sizeof *options };

static bool has_constant (const struct option *o) { return o->fallback[0] != '='; }

/* Bytes of the group's name: 0 at top level. */
static size_t group_bytes (const char *path) {
    const char *dot = strchr (path, '.');
    return dot != NULL ? (size_t) (dot - path) : 0;
}

static const char *leaf (const char *path) {
    const char *dot = strrchr (path, '.');
    return dot != NULL ? dot + 1 : path;
}

static const struct option *find (const char *path) {
    for (int i = 0; i < N; i++)
        if (strcmp (options[i].path, path) == 0) return &options[i];
    return NULL;
}

static bool is_group (const char *name) {
    size_t n = strlen (name);
    for (int i = 0; i < N; i++)
        if (n > 0 && group_bytes (options[i].path) == n && memcmp (options[i].path, name, n) == 0) return true;
    return false;
}

/* The range as a formula: "1 <= x <= 4096"; empty when there is none. */
static const char *range (char *buf, size_t size, const struct option *o) {
    const char *number = o->kind == INT ? "%.0f" : "%g";
    char low[32], high[32];
    snprintf (low, sizeof low, number, o->min);
    snprintf (high, sizeof high, number, o->max);
    const char *left = (o->open & ABOVE) != 0 ? "<" : "<=", *right = (o->open & BELOW) != 0 ? "<" : "<=";
    buf[0] = 0;
    if (o->kind != INT && o->kind != FLOAT && o->kind != PARTS) return buf;
    if (o->max >= MANY)
        snprintf (buf, size, "x %s %s", (o->open & ABOVE) != 0 ? ">" : ">=", low);
    else
        snprintf (buf, size, "%s %s x %s %s", low, left, right, high);
    return buf;
}

static const char *wanted (const struct option *o) {
    switch (o->kind) {
    case INT: return "a whole number";
    case FLOAT: return "a number";
    case BOOL: return "true or false";
    case PARTS: return "a string or a list of groups { tokens = PREFIX; weight = 1; }";
    case STRING:
    case CHOICE: break;
    }
    return "a string";
}

static int choice (const char *choices, const char *value) {
    size_t n = strlen (value);
    for (int i = 0;; i++) {
        size_t k = strcspn (choices, "|");
        if (k == n && memcmp (choices, value, n) == 0) return i;
        if (choices[k] == 0) return -1;
        choices += k + 1;
    }
}

int wb_config_choice (const char *path, const char *value) {
    const struct option *o = find (path);
    WB_ASSERT (o != NULL && o->kind == CHOICE);
    return value != NULL ? choice (o->choices, value) : -1;
}

/* ---- one value ------------------------------------------------------------------------------------------------- */

/* A value as it was found, and what to call it. */
struct value {
    enum { V_INT, V_FLOAT, V_BOOL, V_TEXT, V_OTHER } is;
    int64_t i;
    double f;
    const char *s;
    const char *called; /* "a string", "`abc`" */
};

static wb_status set_string (char **slot, const char *s) {
    char *copy = wb_strdup (s);
    if (copy == NULL) return WB_NOMEM ("the configuration");
    wb_free (*slot);
    *slot = copy;
    return WB_OK;
}

/* `where`: "FILE:LINE" or "--set key". */
static wb_status wrong_type (const char *where, const char *path, const char *want, const struct value *v) {
    return WB_FAIL (WB_EUSAGE, "%s: `%s` wants %s, got %s", where, path, want, v->called);
}

static wb_status in_range (const struct option *o, const char *path, double x, const char *where) {
    bool low = (o->open & ABOVE) != 0 ? x > o->min : x >= o->min;
    bool high = (o->open & BELOW) != 0 ? x < o->max : x <= o->max;
    char text[96], number[40];
    if (low && high && isfinite (x)) return WB_OK;
    snprintf (number, sizeof number, o->kind == INT ? "%.0f" : "%g", x);
    if (low && o->max >= MANY && isfinite (x))
        return WB_FAIL (WB_EUSAGE, "%s: `%s` = %s is too large: %g at most", where, path, number, o->max);
    return WB_FAIL (WB_EUSAGE, "%s: `%s` = %s is out of range: %s", where, path, number, range (text, sizeof text, o));
}

static void drop_parts (wb_config_t *c) {
    for (int i = 0; i < c->ntrain; i++) wb_free (c->train[i].tokens);
    c->ntrain = 0;
}

static wb_status add_part (wb_config_t *c, const char *tokens, double weight, const char *where) {
    if (tokens[0] == 0) return WB_FAIL (WB_EUSAGE, "%s: `data.train`: the name of a token file is empty", where);
    if (c->ntrain == WB_MAX_DATA)
        return WB_FAIL (WB_EUSAGE, "%s: `data.train` has more than %d token files: join some of them", where,
                        WB_MAX_DATA);
    c->train[c->ntrain].tokens = wb_strdup (tokens);
    c->train[c->ntrain].weight = weight;
    if (c->train[c->ntrain].tokens == NULL) return WB_NOMEM ("the configuration");
    c->ntrain++;
    return WB_OK;
}

static wb_status put (wb_config_t *c, const struct option *o, const struct value *v, const char *where) {
    void *slot = (char *) c + o->offset;
    switch (o->kind) {
    case INT:
        if (v->is != V_INT) return wrong_type (where, o->path, wanted (o), v);
        WB_TRY (in_range (o, o->path, (double) v->i, where));
        *(int64_t *) slot = v->i;
        return WB_OK;
    case FLOAT: {
        double x = v->is == V_INT ? (double) v->i : v->f;
        if (v->is != V_INT && v->is != V_FLOAT) return wrong_type (where, o->path, wanted (o), v);
        WB_TRY (in_range (o, o->path, x, where));
        *(double *) slot = x;
        return WB_OK;
    }
    case BOOL:
        if (v->is != V_BOOL) return wrong_type (where, o->path, wanted (o), v);
        *(bool *) slot = v->i != 0;
        return WB_OK;
    case STRING:
    case CHOICE:
        if (v->is != V_TEXT) return wrong_type (where, o->path, wanted (o), v);
        if (v->s[0] == 0 && !has_constant (o)) { /* an empty text takes back what stood there */
            wb_free (*(char **) slot);
            *(char **) slot = NULL;
            return WB_OK;
        }
        if (o->kind == CHOICE && choice (o->choices, v->s) < 0)
            return WB_FAIL (WB_EUSAGE, "%s: `%s` knows no `%s`, only %s", where, o->path, v->s, o->choices);
        return set_string (slot, v->s);
    case PARTS:
        if (v->is != V_TEXT) return wrong_type (where, o->path, wanted (o), v);
        drop_parts (c);
        return add_part (c, v->s, 1.0, where);
    }
    return WB_OK;
}

/* A value written without quotes, as the option wants it. */
static wb_status put_text (wb_config_t *c, const struct option *o, const char *text, const char *where) {
    char called[128];
    snprintf (called, sizeof called, "`%.100s`", text);
    struct value v = {.is = V_TEXT, .s = text, .called = called};
    char *end;
    size_t n = strlen (text);
    switch (o->kind) {
    case INT:
    case FLOAT: {
        bool plain = n > 0 && strchr ("+-.0123456789", text[0]) != NULL; /* no blanks, nan, inf */
        errno = 0;
        v.i = strtoll (text, &end, 10);
        end += end != text && *end == 'L';
        end += end != text && *end == 'L';
        if (plain && end != text && *end == 0 && errno == 0) {
            v.is = V_INT;
            break;
        }
        v.f = strtod (text, &end);
        if (plain && end != text && *end == 0) v.is = V_FLOAT;
        break;
    }
    case BOOL:
        v.i = strcmp (text, "true") == 0;
        if (v.i != 0 || strcmp (text, "false") == 0) v.is = V_BOOL;
        break;
    case STRING:
    case CHOICE:
    case PARTS:
        if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
            char *bare = wb_strndup (text + 1, n - 2);
            if (bare == NULL) return WB_NOMEM ("the configuration");
            v.s = bare;
            wb_status status = put (c, o, &v, where);
            wb_free (bare);
            return status;
        }
        break;
    }
    return put (c, o, &v, where);
}

static wb_status unknown (const char *path, const char *where) {
    /* A key may be misspelt, or stand in the wrong group; its group may be misspelt. */
    const char *near = NULL;
    int best = 1 + (int) strlen (leaf (path)) / 3;
    for (int i = 0; i < N; i++) {
        int far = wb_edit_distance (path, options[i].path);
        if (far > 1 && strcmp (leaf (path), leaf (options[i].path)) == 0) far = 1;
        if (far < best || (far == best && near == NULL)) best = far, near = options[i].path;
    }
    char group[32];
    for (int i = 0; i < N && strchr (path, '.') == NULL; i++) {
        snprintf (group, sizeof group, "%.*s", (int) group_bytes (options[i].path), options[i].path);
        int far = wb_edit_distance (path, group);
        if (group[0] != 0 && (far < best || (far == best && near == NULL)))
            return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; did you mean `%s`?", where, path, group);
    }
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; did you mean `%s`?", where, path, near);
    return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; `wabun help train` lists those there are", where, path);
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

struct place {
    const char *path;
    bool no_lines; /* it is no file */
    char text[512];
};

static const char *where_is (struct place *p, const config_setting_t *s) {
    const char *file = config_setting_source_file (s);
    if (p->no_lines) return p->path;
    snprintf (p->text, sizeof p->text, "%.480s:%u", file != NULL ? file : p->path,
              (unsigned) config_setting_source_line (s));
    return p->text;
}

static struct value value_of (const config_setting_t *s) {
    switch (config_setting_type (s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: return (struct value){.is = V_INT, .i = config_setting_get_int64 (s), .called = "a number"};
    case CONFIG_TYPE_FLOAT:
        return (struct value){.is = V_FLOAT, .f = config_setting_get_float (s), .called = "a number with a point"};
    case CONFIG_TYPE_BOOL:
        return (struct value){.is = V_BOOL, .i = config_setting_get_bool (s), .called = "true or false"};
    case CONFIG_TYPE_STRING:
        return (struct value){.is = V_TEXT, .s = config_setting_get_string (s), .called = "a string"};
    case CONFIG_TYPE_GROUP: return (struct value){.is = V_OTHER, .called = "a group { }"};
    case CONFIG_TYPE_ARRAY: return (struct value){.is = V_OTHER, .called = "an array [ ]"};
    default: return (struct value){.is = V_OTHER, .called = "a list ( )"};
    }
}

static wb_status read_part (wb_config_t *c, const config_setting_t *s, struct place *p) {
    const struct option *o = find ("data.train");
    struct value v = value_of (s);
    if (v.is == V_TEXT) return add_part (c, v.s, 1.0, where_is (p, s));
    if (!config_setting_is_group (s)) return wrong_type (where_is (p, s), o->path, wanted (o), &v);
    const char *tokens = NULL;
    double weight = 1.0;
    for (int i = 0; i < config_setting_length (s); i++) {
        const config_setting_t *m = config_setting_get_elem (s, (unsigned) i);
        const char *name = config_setting_name (m);
        v = value_of (m);
        if (strcmp (name, "tokens") == 0) {
            if (v.is != V_TEXT) return wrong_type (where_is (p, m), "data.train.tokens", "a string", &v);
            tokens = v.s;
        } else if (strcmp (name, "weight") == 0) {
            if (v.is != V_INT && v.is != V_FLOAT)
                return wrong_type (where_is (p, m), "data.train.weight", "a number", &v);
            weight = v.is == V_INT ? (double) v.i : v.f;
            WB_TRY (in_range (o, "data.train.weight", weight, where_is (p, m)));
        } else {
            const char *known[] = {"tokens", "weight"}, *near = wb_nearest (name, known, 2);
            return WB_FAIL (WB_EUSAGE, "%s: unknown key `data.train.%s`; %s `%s`%s", where_is (p, m), name,
                            near != NULL ? "did you mean" : "there are", near != NULL ? near : "tokens` and `weight",
                            near != NULL ? "?" : "");
        }
    }
    if (tokens == NULL)
        return WB_FAIL (WB_EUSAGE, "%s: this part of `data.train` names no token file: tokens = PREFIX is missing",
                        where_is (p, s));
    return add_part (c, tokens, weight, where_is (p, s));
}

static wb_status read_parts (wb_config_t *c, const config_setting_t *s, struct place *p) {
    drop_parts (c);
    if (!config_setting_is_list (s) && !config_setting_is_array (s)) return read_part (c, s, p);
    for (int i = 0; i < config_setting_length (s); i++)
        WB_TRY (read_part (c, config_setting_get_elem (s, (unsigned) i), p));
    return WB_OK;
}

/* The members of a group; group NULL: of the file. */
static wb_status read_group (wb_config_t *c, const config_setting_t *g, const char *group, struct place *p) {
    for (int i = 0; i < config_setting_length (g); i++) {
        const config_setting_t *s = config_setting_get_elem (g, (unsigned) i);
        char path[160];
        snprintf (path, sizeof path, "%s%s%.100s", group != NULL ? group : "", group != NULL ? "." : "",
                  config_setting_name (s));
        struct value v = value_of (s);
        const struct option *o = find (path);
        if (o != NULL && o->kind == PARTS)
            WB_TRY (read_parts (c, s, p));
        else if (o != NULL)
            WB_TRY (put (c, o, &v, where_is (p, s)));
        else if (group != NULL || !is_group (path))
            return unknown (path, where_is (p, s));
        else if (!config_setting_is_group (s))
            return wrong_type (where_is (p, s), path, "a group { }", &v);
        else
            WB_TRY (read_group (c, s, path, p));
    }
    return WB_OK;
}

static wb_status read_text (wb_config_t *c, const char *text, const char *path) {
    config_t file;
    struct place p = {.path = path};
    wb_status status;
    if (strncmp (text, "\xef\xbb\xbf", 3) == 0) text += 3; /* the byte order mark of some editors */
    config_init (&file);
    if (config_read_string (&file, text) == CONFIG_TRUE) {
        status = read_group (c, config_root_setting (&file), NULL, &p);
    } else {
        const char *in = config_error_file (&file);
        status = WB_FAIL (WB_EUSAGE, "%s:%d: %s", in != NULL ? in : path, config_error_line (&file),
                          config_error_text (&file));
    }
    config_destroy (&file);
    return status;
}

/* data.train as libconfig has it: ({ tokens = "a"; weight = 1.0; }, "b"). */
static wb_status set_parts (wb_config_t *c, const char *text, const char *where) {
    struct place p = {.path = where, .no_lines = true};
    char *line = wb_format ("parts = %s", text);
    wb_status status;
    config_t file;
    if (line == NULL) return WB_NOMEM ("the configuration");
    config_init (&file);
    if (config_read_string (&file, line) != CONFIG_TRUE)
        status = WB_FAIL (WB_EUSAGE,
                          "%s: %s in `%.200s`; for instance --set 'data.train=({tokens=\"a\"; weight=2.0;}, \"b\")'",
                          where, config_error_text (&file), text);
    else if (config_setting_length (config_root_setting (&file)) != 1)
        status = WB_FAIL (WB_EUSAGE, "%s: `%.200s` goes on behind its value", where, text);
    else
        status = read_parts (c, config_lookup (&file, "parts"), &p);
    config_destroy (&file);
    wb_free (line);
    return status;
}

static wb_status read_set (wb_config_t *c, const char *set) {
    const char *equals = strchr (set, '=');
    if (equals == NULL || equals == set)
        return WB_FAIL (WB_EUSAGE, "--set %s: wants KEY=VALUE, for instance --set train.steps=100", set);
    char key[128], where[160];
    snprintf (key, sizeof key, "%.*s", (int) (equals - set < 120 ? equals - set : 120), set);
    snprintf (where, sizeof where, "--set %s", key);
    const struct option *o = find (key);
    if (o == NULL && is_group (key))
        return WB_FAIL (WB_EUSAGE, "%s: is a group: set its members, for instance --set train.steps=100", where);
    if (o == NULL) return unknown (key, where);
    if (o->kind == PARTS && equals[1] != 0 && strchr ("([{", equals[1]) != NULL)
        return set_parts (c, equals + 1, where);
    return put_text (c, o, equals + 1, where);
}

/* ---- what needs more than one option --------------------------------------------------------------------------- */

#define TOGETHER(cond, ...) \
    if (!(cond)) return WB_FAIL (WB_EUSAGE, __VA_ARGS__)

static wb_status check (wb_config_t *c) {
    const char *f = c->path;
    TOGETHER (c->run != NULL, "%s: `run` is missing: name a directory for the run, as in run = \"runs/small\";", f);
    TOGETHER (c->ntrain > 0, "%s: `data.train` is missing: name a token file (wabun encode makes them)", f);

    TOGETHER (c->preset == NULL || c->base == NULL,
              "%s: `model.preset` and `model.base` exclude each other: a base brings its sizes", f);
    if (c->preset != NULL) {
        wb_size_t s = {0};
        WB_TRY (wb_size_preset (&s, c->preset));
        if (c->layers == 0) c->layers = s.L;
        if (c->width == 0) c->width = s.C;
        if (c->heads == 0) c->heads = s.H;
        if (c->context == 0) c->context = s.T;
    }
    TOGETHER (
        c->base != NULL || c->layers + c->width + c->heads + c->context > 0,
        "%s: what model? Give `model.preset` (tiny, small, medium, large, xl), or `model.layers`, `width`, `heads` "
        "and `context`, or `model.base`",
        f);
    if (c->base == NULL) {
        const char *missing = c->layers == 0    ? "layers"
                              : c->width == 0   ? "width"
                              : c->heads == 0   ? "heads"
                              : c->context == 0 ? "context"
                                                : NULL;
        TOGETHER (missing == NULL, "%s: `model.%s` is missing: without a preset or base all four sizes are needed", f,
                  missing);
        TOGETHER (c->width % c->heads == 0, "%s: `model.width` = %lld is no multiple of `model.heads` = %lld", f,
                  (long long) c->width, (long long) c->heads);
        TOGETHER (c->tokenizer != NULL || c->vocab_size > 0,
                  "%s: how large is the vocabulary? Give `tokenizer` or `model.vocab_size`", f);
    }
    TOGETHER (c->context == 0 || c->sequence_length <= c->context,
              "%s: `train.sequence_length` = %lld is longer than `model.context` = %lld", f,
              (long long) c->sequence_length, (long long) c->context);

    if (isnan (c->min_lr)) c->min_lr = c->lr / 10;
    TOGETHER (c->min_lr <= c->lr, "%s: `train.min_lr` = %g is above `train.lr` = %g", f, c->min_lr, c->lr);
    TOGETHER (c->micro_batch == 0 || c->global_batch % c->micro_batch == 0,
              "%s: `train.global_batch` = %lld is no multiple of `parallel.micro_batch` = %lld", f,
              (long long) c->global_batch, (long long) c->micro_batch);
    TOGETHER (c->interleave == 1 || c->pipeline > 1,
              "%s: `parallel.interleave` = %lld needs `parallel.pipeline` above 1", f, (long long) c->interleave);
    TOGETHER (c->interleave == 1 || strcmp (c->schedule, "1f1b") == 0,
              "%s: `parallel.interleave` = %lld needs `parallel.schedule` = \"1f1b\"", f, (long long) c->interleave);
    TOGETHER (c->sample_every == 0 || c->tokenizer != NULL || c->base != NULL,
              "%s: `sample.every` = %lld needs a `tokenizer` to write text", f, (long long) c->sample_every);
    return WB_OK;
}

/* ---- making one ------------------------------------------------------------------------------------------------ */

static wb_status build (wb_config_t *c, const char *text, const char *path, const char *const *sets, int nsets) {
    WB_TRY (set_string (&c->path, path));
    for (int i = 0; i < N; i++) {
        const struct option *o = &options[i];
        if (has_constant (o))
            WB_TRY (put_text (c, o, o->fallback, o->path));
        else if (o->kind == FLOAT)
            *(double *) ((char *) c + o->offset) = NAN; /* check() fills it */
    }
    WB_TRY (read_text (c, text, path));
    for (int i = 0; i < nsets; i++) WB_TRY (read_set (c, sets[i]));
    return check (c);
}

static wb_status from_text (wb_config_t **out, const char *text, const char *path, const char *const *sets, int nsets) {
    *out = NULL;
    wb_config_t *c = wb_calloc (1, sizeof *c);
    if (c == NULL) return WB_NOMEM ("the configuration");
    wb_status status = build (c, text, path, sets, nsets);
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
    wb_status status = strlen (text) == bytes
                           ? from_text (out, text, path, sets, nsets)
                           : WB_FAIL (WB_EUSAGE, "%s: byte %zu is 0: this is no configuration", path, strlen (text));
    wb_free (text);
    return status;
}

void wb_config_destroy (wb_config_t *c) {
    if (c == NULL) return;
    for (int i = 0; i < N; i++)
        if (options[i].kind == STRING || options[i].kind == CHOICE)
            wb_free (*(char **) ((char *) c + options[i].offset));
    drop_parts (c);
    wb_free (c->path);
    wb_free (c);
}

/* ---- as text --------------------------------------------------------------------------------------------------- */

static wb_status put_str (wb_buf_t *b, const char *s) { return wb_buf_put (b, s, strlen (s)); }

static wb_status put_quoted (wb_buf_t *b, const char *s) {
    WB_TRY (put_str (b, "\""));
    for (; *s != 0; s++) {
        char esc[8];
        if (*s == '"' || *s == '\\')
            snprintf (esc, sizeof esc, "\\%c", *s);
        else if ((unsigned char) *s < 0x20)
            snprintf (esc, sizeof esc, "\\x%02x", (unsigned) *s);
        else
            snprintf (esc, sizeof esc, "%c", *s);
        WB_TRY (put_str (b, esc));
    }
    return put_str (b, "\"");
}

/* The shortest text that reads back as the same number. */
static wb_status put_number (wb_buf_t *b, double x) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf (text, sizeof text, "%.*g", digits, x);
        if (strtod (text, NULL) == x) break;
    }
    if (strpbrk (text, ".e") == NULL) strcat (text, ".0");
    return put_str (b, text);
}

static wb_status put_option (wb_buf_t *b, const wb_config_t *c, const struct option *o) {
    const void *slot = (const char *) c + o->offset;
    bool text = o->kind == STRING || o->kind == CHOICE;
    char number[32];
    if (text && *(char *const *) slot == NULL) return WB_OK;
    if (o->kind == INT && !has_constant (o) && *(const int64_t *) slot == 0) return WB_OK;
    WB_TRY (put_str (b, group_bytes (o->path) > 0 ? "    " : ""));
    WB_TRY (put_str (b, leaf (o->path)));
    WB_TRY (put_str (b, " = "));
    switch (o->kind) {
    case INT:
        snprintf (number, sizeof number, "%lld%s", (long long) *(const int64_t *) slot,
                  *(const int64_t *) slot > INT32_MAX ? "L" : "");
        WB_TRY (put_str (b, number));
        break;
    case FLOAT: WB_TRY (put_number (b, *(const double *) slot)); break;
    case BOOL: WB_TRY (put_str (b, *(const bool *) slot ? "true" : "false")); break;
    case STRING:
    case CHOICE: WB_TRY (put_quoted (b, *(char *const *) slot)); break;
    case PARTS:
        WB_TRY (put_str (b, "("));
        for (int i = 0; i < c->ntrain; i++) {
            WB_TRY (put_str (b, i > 0 ? ",\n        { tokens = " : "\n        { tokens = "));
            WB_TRY (put_quoted (b, c->train[i].tokens));
            WB_TRY (put_str (b, "; weight = "));
            WB_TRY (put_number (b, c->train[i].weight));
            WB_TRY (put_str (b, "; }"));
        }
        WB_TRY (put_str (b, "\n    )"));
        break;
    }
    return put_str (b, ";\n");
}

static wb_status put_all (wb_buf_t *b, const wb_config_t *c) {
    for (int i = 0; i < N; i++) {
        const char *path = options[i].path;
        size_t n = group_bytes (path);
        bool first = n > 0 && (i == 0 || strncmp (options[i - 1].path, path, n + 1) != 0);
        bool last = n > 0 && (i + 1 == N || strncmp (options[i + 1].path, path, n + 1) != 0);
        if (first) {
            WB_TRY (wb_buf_put (b, path, n));
            WB_TRY (put_str (b, " = {\n"));
        }
        WB_TRY (put_option (b, c, &options[i]));
        if (last) WB_TRY (put_str (b, "};\n"));
    }
    return WB_OK;
}

char *wb_config_text (const wb_config_t *c) {
    wb_buf_t b = {0};
    char *text = put_all (&b, c) == WB_OK ? wb_strndup (b.data, b.len) : NULL;
    wb_buf_fini (&b);
    return text;
}

/* ---- help ------------------------------------------------------------------------------------------------------ */

/* What stands in the place of a value. */
static const char *takes (char *buf, size_t size, const struct option *o) {
    if (o->kind == CHOICE)
        snprintf (buf, size, "%s", o->choices);
    else if (o->kind == BOOL)
        snprintf (buf, size, "true|false");
    else if (o->kind == STRING || o->kind == PARTS)
        snprintf (buf, size, "%s", o->unit);
    else {
        char formula[96];
        snprintf (buf, size, "%s%s%s", range (formula, sizeof formula, o), o->unit[0] != 0 ? ", " : "", o->unit);
    }
    return buf;
}

void wb_config_help (FILE *to, bool man) {
    for (int i = 0; i < N; i++) {
        const struct option *o = &options[i];
        char what[160];
        const char *fallback = has_constant (o) ? o->fallback : o->fallback + 1;
        if (fallback[0] == 0) fallback = "empty";
        takes (what, sizeof what, o);
        if (man) {
            fprintf (to, ".TP\n.B %s\n", o->path);
            for (const char *s = o->text; *s != 0; s++) {
                if (*s == '`') continue;
                if (*s == '-') fputc ('\\', to);
                fputc (*s, to);
            }
            fprintf (to, ".\n%s; default: %s.\n", what, fallback);
        } else {
            fprintf (to, "  %-28s %s\n  %28s %s; default: %s\n", o->path, o->text, "", what, fallback);
        }
    }
}

/* ---- ranks ----------------------------------------------------------------------------------------------------- */

/* One reader: a file that changes, or that one node does not see, must not give two configurations.  What goes round is
 * the resolved text, which reads back as the same configuration on every rank. */
static wb_status share (wb_config_t **c, char **text, wb_comm_t *world, const char *path, const char *const *sets,
                        int nsets) {
    const bool root = wb_comm_rank (world) == 0;
    wb_status status = WB_OK;
    int64_t bytes = 0;
    if (root) {
        status = wb_config_new (c, path, sets, nsets);
        if (status == WB_OK && (*text = wb_config_text (*c)) == NULL) status = WB_NOMEM ("the configuration");
        if (status == WB_OK) bytes = (int64_t) strlen (*text);
    }
    WB_TRY (wb_agree (world, status));
    wb_comm_bcast (world, &bytes, sizeof bytes, 0);
    if (!root && (*text = wb_calloc (1, (size_t) bytes + 1)) == NULL) status = WB_NOMEM ("the configuration");
    WB_TRY (wb_agree (world, status));
    wb_comm_bcast (world, *text, (size_t) bytes, 0);
    if (!root) status = from_text (c, *text, path, NULL, 0);
    return wb_agree (world, status);
}

wb_status wb_config_share (wb_config_t **out, wb_comm_t *world, const char *path, const char *const *sets, int nsets) {
    wb_config_t *c = NULL;
    char *text = NULL;
    wb_status status = share (&c, &text, world, path, sets, nsets);
    wb_free (text);
    if (status != WB_OK) wb_config_destroy (c), c = NULL;
    *out = c;
    return status;
}
