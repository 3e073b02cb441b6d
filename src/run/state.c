/* state.json: what of a checkpoint is not a tensor.
 *
 * Step and tokens, and all that decides how training goes on: settings, data, the base model.  When a run resumes, what
 * is different now is said, one line each.  It holds nothing of ranks or of time, so that the files of a checkpoint are
 * the same bytes whatever layout wrote them.  Older checkpoints lack some of it: what is not there is not compared, but
 * for settings that had one value only then.
 *
 * Not done here: sizes of the model (resume.c). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "run/state.h"
#include "wabun/json.h"

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* What follows from a change; the first three are worth a warning. */
static const char other[] = "the data are other ones from here on";
static const char order[] = "the order of the data changes here";
static const char again[] = "samples may be repeated or left out";
static const char rate[] = "only the schedule of the learning rate changes";
static const char update[] = "later updates change, the data do not";
static const char rounding[] = "losses differ by its rounding from here on, the data do not";
static const char never[] = "what learns must stay the same in a run"; /* refused: check_tuning() */

typedef struct setting {
    const char *name;
    json_t *value; /* owned */
    const char *effect;
} setting_t;
#define MAX_SETTINGS 32

/* THE table of settings: one a line. */
static int list_settings (setting_t out[MAX_SETTINGS], const wb_run_t *r) {
    const wb_config_t *c = r->config;
    const wb_tuning_t *tune = &c->step.tuning;
    const wb_optim_options_t *o = &c->step.optim;
    const bool muon = o->kind == WB_OPTIM_MUON; /* without it these change nothing */
    const setting_t all[] = {
        {"seed", json_integer (c->seed), order},
        {"train.global_batch", json_integer (c->step.global_batch), again},
        {"train.sequence_length", json_integer (r->trainer->o.T), again},
        {"data.shuffle", json_boolean (c->data.shuffle), order},
        {"train.lr", json_real (c->step.optim.lr), rate},
        {"train.min_lr", json_real (c->step.optim.min_lr), rate},
        {"train.warmup", json_integer (c->step.optim.warmup), rate},
        {"train.decay", json_string (wb_decay_names[c->step.optim.decay]), rate},
        {"train.steps", json_integer (c->step.optim.steps), rate},
        {"train.beta1", json_real (c->step.optim.beta1), update},
        {"train.beta2", json_real (c->step.optim.beta2), update},
        {"train.eps", json_real (c->step.optim.eps), update},
        {"train.weight_decay", json_real (c->step.optim.weight_decay), update},
        {"train.clip", json_real (c->step.optim.clip), update},
        {"train.muon_momentum", muon ? json_real (o->muon_momentum) : json_null (), update},
        {"train.muon_nesterov", muon ? json_boolean (o->muon_nesterov) : json_null (), update},
        {"train.muon_steps", muon ? json_integer (o->muon_steps) : json_null (), update},
        {"train.muon_rms", muon ? json_real (o->muon_rms) : json_null (), update},
        {"train.muon_split_qkv", muon ? json_boolean (o->muon_split_qkv) : json_null (), update},
        {"train.precision", json_string (c->step.precision == WB_PRECISION_FP32 ? "fp32" : "bf16"), rounding},
        {"finetune.layers", json_integer (tune->layers), never},
        {"finetune.lora_rank", json_integer (tune->rank), never},
        {"finetune.lora_alpha", tune->rank > 0 ? json_real (tune->alpha) : json_integer (0), never},
        {"finetune.targets", tune->rank > 0 && tune->targets != NULL ? json_string (tune->targets) : json_integer (0),
         never},
    };
    _Static_assert(sizeof all / sizeof *all <= MAX_SETTINGS, "room for all settings");
    memcpy (out, all, sizeof all);
    return (int) (sizeof all / sizeof *all);
}

/* {"seed": 1, "train.lr": 0.001, ...} */
static json_t *settings_json (const wb_run_t *r) {
    setting_t list[MAX_SETTINGS];
    json_t *j = json_object ();
    int n = list_settings (list, r);
    for (int i = 0; i < n; i++) json_object_set_new (j, list[i].name, list[i].value);
    return j;
}

/* A setting of the checkpoint; older ones have some at the top, without the group. */
static const json_t *old_setting (const wb_state_t *s, const char *name) {
    const json_t *settings = json_object_get (s->json, "settings");
    const char *dot = strrchr (name, '.');
    return settings != NULL ? json_object_get (settings, name)
                            : json_object_get (s->json, dot != NULL ? dot + 1 : name);
}

/* The same; a checkpoint that is older than the setting was made in the only way that there was.  NULL: it does not
 * tell. */
static json_t *setting_of (const wb_state_t *s, const setting_t *now) {
    const json_t *old = old_setting (s, now->name);
    if (old != NULL) return json_deep_copy (old);
    if (now->effect == never) return json_integer (0); /* all parameters learn */
    return now->effect == rounding ? json_string ("fp32") : NULL;
}

/* One line: `what` was `old` in the checkpoint, is `now`. */
static void tell (const char *dir, const char *what, const json_t *old, const json_t *now, const char *effect) {
    char *a = json_dumps (old, JSON_ENCODE_ANY | JSON_REAL_PRECISION (6));
    char *b = json_dumps (now, JSON_ENCODE_ANY | JSON_REAL_PRECISION (6));
    if (effect == other || effect == order || effect == again)
        wb_warn ("%s was made with %s = %s, now it is %s: %s", dir, what, a != NULL ? a : "?", b != NULL ? b : "?",
                 effect);
    else
        wb_info ("%s was made with %s = %s, now it is %s: %s", dir, what, a != NULL ? a : "?", b != NULL ? b : "?",
                 effect);
    wb_free_foreign (a);
    wb_free_foreign (b);
}

static void compare_settings (const wb_run_t *r, const wb_state_t *s, const char *dir) {
    setting_t list[MAX_SETTINGS];
    int n = list_settings (list, r);
    for (int i = 0; i < n; i++) {
        json_t *old = setting_of (s, &list[i]);
        if (old != NULL && list[i].effect != never && !json_equal (old, list[i].value))
            tell (dir, list[i].name, old, list[i].value, list[i].effect);
        json_decref (old);
        json_decref (list[i].value);
    }
}

/* Other parameters that learn have other states in the optimizer. */
static wb_status check_tuning (const wb_run_t *r, const wb_state_t *s, const char *dir) {
    setting_t list[MAX_SETTINGS];
    const int64_t before = wb_json_lacks ();
    const int n = list_settings (list, r);
    wb_status status = WB_OK;
    for (int i = 0; i < n; i++) {
        json_t *old = setting_of (s, &list[i]);
        if (status == WB_OK) status = wb_json_since (before, "the settings of a run");
        if (list[i].effect == never && status == WB_OK && !json_equal (old, list[i].value)) {
            char *a = json_dumps (old, JSON_ENCODE_ANY), *b = json_dumps (list[i].value, JSON_ENCODE_ANY);
            status = WB_FAIL (WB_EUSAGE,
                              "%s was trained with %s = %s (0: all), the configuration says %s: set it back, or set "
                              "another `run` and begin with these weights by model.base = \"%s\"",
                              dir, list[i].name, a != NULL ? a : "?", b != NULL ? b : "?", dir);
            wb_free_foreign (a);
            wb_free_foreign (b);
        }
        json_decref (old);
        json_decref (list[i].value);
    }
    return status;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static json_t *hash_json (uint64_t hash) {
    char hex[17];
    snprintf (hex, sizeof hex, "%016" PRIx64, hash);
    return json_string (hex);
}

/* {"tokens": "tok/general", "weight": 0.45, "bytes": 123, "hash": "0123456789abcdef"} */
static json_t *file_json (const wb_run_t *r, int i) {
    json_t *j = json_object ();
    json_object_set_new (j, "tokens", json_string (wb_tokens_path (r->data.files[i])));
    json_object_set_new (j, "weight", json_real (r->config->data.train.list[i].weight));
    json_object_set_new (j, "bytes", json_integer (r->data.bytes[i]));
    json_object_set_new (j, "hash", hash_json (r->data.hashes[i]));
    return j;
}

static json_t *data_json (const wb_run_t *r) {
    json_t *j = json_array ();
    for (int i = 0; i < r->data.nfiles; i++) json_array_append_new (j, file_json (r, i));
    return j;
}

static bool same (const json_t *a, const json_t *b, const char *key) {
    return json_equal (json_object_get (a, key), json_object_get (b, key)) != 0;
}

static bool same_file (const json_t *a, const json_t *b) { return same (a, b, "bytes") && same (a, b, "hash"); }

static const char *path_of (const json_t *file) {
    const char *path = json_string_value (json_object_get (file, "tokens"));
    return path != NULL ? path : "?";
}

static long long bytes_of (const json_t *file) {
    return (long long) json_integer_value (json_object_get (file, "bytes"));
}

/* A token file that keeps its name must keep its content: a list that names other files is meant, this may not be. */
static wb_status check_data (const json_t *old, const json_t *now, const char *dir) {
    for (size_t i = 0; i < json_array_size (now); i++)
        for (size_t k = 0; k < json_array_size (old); k++) {
            const json_t *a = json_array_get (old, k), *b = json_array_get (now, i);
            if (!same (a, b, "tokens") || same_file (a, b)) continue;
            return WB_FAIL (WB_EUSAGE,
                            "data.train: %s is not the file any more that %s was trained with (%lld bytes, now %lld): "
                            "--accept goes on with it; set another `run` to begin again",
                            path_of (b), dir, bytes_of (a), bytes_of (b));
        }
    return WB_OK;
}

/* Is each file of one list among those of the other, whatever it is called? */
static bool among (const json_t *list, const json_t *others) {
    for (size_t i = 0; i < json_array_size (list); i++) {
        bool found = false;
        for (size_t k = 0; k < json_array_size (others) && !found; k++)
            found = same_file (json_array_get (list, i), json_array_get (others, k));
        if (!found) return false;
    }
    return true;
}

/* Older checkpoints do not tell. */
static bool other_data (const json_t *old, const json_t *now) {
    if (!json_is_array (old) || json_object_get (json_array_get (old, 0), "hash") == NULL) return false;
    return !among (old, now) || !among (now, old);
}

/* "tok/general, tok/novel and 3 more" into buf. */
static const char *names_of (char buf[256], const json_t *data) {
    size_t at = 0, n = json_array_size (data), shown = n > 3 ? 2 : n;
    buf[0] = 0;
    for (size_t i = 0; i < shown && at < 256; i++)
        at += (size_t) snprintf (buf + at, 256 - at, "%s%.70s", i > 0 ? ", " : "", path_of (json_array_get (data, i)));
    if (n > shown && at < 256) snprintf (buf + at, 256 - at, " and %zu more", n - shown);
    return buf;
}

/* ["tok/general", "tok/novel"] */
static json_t *paths_json (const json_t *data) {
    json_t *j = json_array ();
    for (size_t i = 0; i < json_array_size (data); i++)
        json_array_append (j, json_object_get (json_array_get (data, i), "tokens"));
    return j;
}

/* The files of one place in the list. */
static void compare_file (const json_t *a, const json_t *b, const char *dir, bool alone) {
    const json_t *old = json_object_get (a, "tokens"), *now = json_object_get (b, "tokens");
    if (!same (a, b, "tokens"))
        tell (dir, "data.train", old, now, same_file (a, b) ? "nothing changes, it is the same file" : other);
    else if (!same_file (a, b))
        tell (dir, path_of (b), json_object_get (a, "hash"), json_object_get (b, "hash"), other);
    if (!alone && !same (a, b, "weight"))
        tell (dir, "a weight in data.train", json_object_get (a, "weight"), json_object_get (b, "weight"), order);
}

static void compare_data (const json_t *old, const json_t *now, const char *dir) {
    if (!json_is_array (old)) return;
    if (json_array_size (old) == json_array_size (now)) {
        for (size_t i = 0; i < json_array_size (now); i++)
            compare_file (json_array_get (old, i), json_array_get (now, i), dir, json_array_size (now) == 1);
        return;
    }
    json_t *a = paths_json (old), *b = paths_json (now);
    tell (dir, "data.train", a, b, other);
    json_decref (a);
    json_decref (b);
}

/* ---- the model it began with ------------------------------------------------------------------------------------- */

static json_t *base_json (const wb_run_base_t *b) {
    if (b->path == NULL) return json_null ();
    json_t *j = json_object ();
    json_object_set_new (j, "path", json_string (b->path));
    json_object_set_new (j, "step", json_integer (b->step));
    json_object_set_new (j, "checksums", hash_json (b->sums));
    return j;
}

static wb_status read_base (wb_run_base_t *out, const json_t *base) {
    const char *path = json_string_value (json_object_get (base, "path"));
    const char *sums = json_string_value (json_object_get (base, "checksums"));
    *out = (wb_run_base_t){.step = -1};
    if (path == NULL) return WB_OK;
    out->path = wb_strdup (path);
    out->step = (int64_t) json_integer_value (json_object_get (base, "step"));
    if (sums != NULL && sscanf (sums, "%16" SCNx64, &out->sums) != 1) out->sums = 0;
    return out->path != NULL ? WB_OK : WB_NOMEM ("model.base");
}

wb_status wb_state_base (wb_run_base_t *out, const wb_state_t *s) {
    return read_base (out, json_object_get (s->json, "base"));
}

wb_status wb_state_keep (wb_run_t *r, wb_state_t *s) {
    const json_t *base = json_object_get (s->json, "base");
    wb_free (r->state);
    r->state = s->text;
    r->state_step = s->step;
    s->text = NULL;
    if (base == NULL || r->trainer->o.tuning.rank > 0) return WB_OK; /* of LoRA: wb_run_base_again() */
    wb_free (r->base.path);
    return read_base (&r->base, base);
}

/* Does the configuration ask for the base that the run began with?  A run that is a base itself goes on: a link to its
 * newest checkpoint leads elsewhere then. */
static bool other_base (const wb_run_t *r, const json_t *old) {
    const wb_run_base_t *b = &r->base;
    if (r->config->model.base == NULL || old == NULL) return false;
    const char *path = json_string_value (json_object_get (old, "path"));
    if (path == NULL || b->path == NULL) return true;
    json_t *now = base_json (b);
    const bool equal = b->sums != 0 && same (old, now, "checksums");
    json_decref (now);
    const size_t n = (size_t) (wb_file_name (path) - path);
    const bool one_run = json_integer_value (json_object_get (old, "step")) >= 0 && b->step >= 0 &&
                         n == (size_t) (wb_file_name (b->path) - b->path) && strncmp (path, b->path, n) == 0;
    return !equal && !one_run && strcmp (path, b->path) != 0;
}

/* A configuration with another base or other data, and the `run` of one that is there already, would go on in that one:
 * most likely its author meant to begin another.  All that differs in one message. */
static wb_status check_same_run (const wb_run_t *r, const wb_state_t *s, const json_t *now) {
    const json_t *data = json_object_get (s->json, "data"), *base = json_object_get (s->json, "base");
    const bool base_differs = other_base (r, base), data_differ = other_data (data, now);
    char what[640] = "", a[256], b[256];
    size_t at = 0;
    if (!base_differs && !data_differ) return WB_OK;
    if (base_differs) {
        const char *path = json_string_value (json_object_get (base, "path"));
        at = (size_t) snprintf (what, sizeof what, "; model.base was %.200s, now it is %.200s",
                                path != NULL ? path : "not given", r->base.path);
    }
    if (data_differ)
        snprintf (what + at, sizeof what - at, "; data.train was %s, now it is %s", names_of (a, data),
                  names_of (b, now));
    return WB_FAIL (WB_EUSAGE,
                    "run = \"%s\" is a training of its own, at step %lld%s: set another `run` to begin a new one, or "
                    "--accept to go on in this one",
                    r->config->run.dir, (long long) s->step, what);
}

static void compare_base (const wb_run_t *r, const wb_state_t *s, const char *dir) {
    const json_t *old = json_object_get (s->json, "base");
    json_t *now = base_json (&r->base), *a, *b;
    if (old != NULL && !json_equal (old, now) && r->config->model.base != NULL) {
        a = json_is_null (old) ? json_string ("none") : json_incref (json_object_get (old, "path"));
        b = json_string (r->base.path);
        tell (dir, "model.base", a, b, "nothing changes, the weights are those of the checkpoint");
        json_decref (a);
        json_decref (b);
    }
    json_decref (now);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

char *wb_state_text (const wb_run_t *r) {
    /* Not trained any further: a copy of the checkpoint, whatever is set now. */
    if (r->state != NULL && r->trainer->step == r->state_step) return wb_strdup (r->state);
    const wb_config_t *c = r->config;
    const int64_t before = wb_json_lacks ();
    json_t *j = json_object ();
    int bad = json_object_set_new (j, "format", json_integer (1));
    bad |= json_object_set_new (j, "step", json_integer (r->trainer->step));
    bad |= json_object_set_new (j, "global_batch", json_integer (c->step.global_batch));
    bad |= json_object_set_new (j, "sequence_length", json_integer (r->trainer->o.T));
    bad |= json_object_set_new (j, "tokens", json_integer ((json_int_t) r->tokens));
    bad |= json_object_set_new (j, "seed", json_integer (c->seed));
    bad |= json_object_set_new (j, "optimizer", json_string (wb_optim_names[c->step.optim.kind]));
    bad |= json_object_set_new (j, "settings", settings_json (r));
    bad |= json_object_set_new (j, "data", data_json (r));
    bad |= json_object_set_new (j, "base", base_json (&r->base));
    bad |= json_object_set_new (j, "spikes", wb_state_spikes (r));
    bad |= json_object_set_new (j, "rollbacks", wb_state_rollbacks (&r->rollbacks));
    bad |= json_object_set_new (j, "validation", wb_state_best (r));
    bad |= wb_json_lacks () != before;
    char *dump = bad == 0 ? json_dumps (j, JSON_INDENT (2)) : NULL,
         *text = dump != NULL ? wb_format ("%s\n", dump) : NULL;
    wb_free_foreign (dump);
    json_decref (j);
    return text;
}

static wb_status parse (wb_state_t *s, const char *path, const char *text, size_t bytes) {
    json_error_t e;
    s->json = wb_json_load (text, bytes, 0, &e);
    const json_t *step = json_object_get (s->json, "step"), *tokens = json_object_get (s->json, "tokens");
    s->step = json_is_integer (step) ? (int64_t) json_integer_value (step) : -1;
    s->tokens = json_number_value (tokens);
    wb_state_read_health (s);
    s->optimizer = json_string_value (json_object_get (s->json, "optimizer"));
    if (s->json == NULL) return WB_FAIL (WB_EDATA, "%s:%d: %s", path, e.line, e.text);
    if (s->step < 0 || !json_is_number (tokens) || s->optimizer == NULL)
        return WB_FAIL (WB_EDATA, "%s: lacks one of step, tokens and optimizer", path);
    return WB_OK;
}

wb_status wb_state_read (wb_state_t *s, const char *dir) {
    char *path = wb_format ("%s/state.json", dir), *text = NULL;
    size_t bytes;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("checkpoint");
    *s = (wb_state_t){0};
    if (status == WB_OK && wb_file_is_dir (dir) && !wb_file_exists (path))
        status = WB_FAIL (WB_EUSAGE,
                          "%s is a model, but no checkpoint of a run (no state.json): start from its weights with "
                          "model.base = \"%s\"",
                          dir, dir);
    if (status == WB_OK) status = wb_file_read (&text, &bytes, path);
    if (status == WB_OK) status = parse (s, path, text, bytes);
    s->text = text;
    wb_free (path);
    return status;
}

void wb_state_fini (wb_state_t *s) {
    json_decref (s->json);
    wb_free (s->text);
    *s = (wb_state_t){0};
}

wb_status wb_state_check (const wb_run_t *r, const wb_state_t *s, const char *dir, bool chosen) {
    const wb_config_t *c = r->config;
    if (strcmp (s->optimizer, wb_optim_names[c->step.optim.kind]) != 0)
        return WB_FAIL (WB_EUSAGE,
                        "%s was trained with %s, the configuration says %s: set train.optimizer = \"%s\", or start a "
                        "new run from the weights with model.base = \"%s\"",
                        dir, s->optimizer, wb_optim_names[c->step.optim.kind], s->optimizer, dir);
    WB_TRY (check_tuning (r, s, dir));
    const int64_t before = wb_json_lacks ();
    json_t *now = data_json (r);
    wb_status status = wb_json_since (before, "the data of a run");
    if (status == WB_OK && !r->accept) status = check_data (json_object_get (s->json, "data"), now, dir);
    if (status == WB_OK && !r->accept && !chosen) status = check_same_run (r, s, now);
    json_decref (now);
    return status;
}

void wb_state_compare (const wb_run_t *r, const wb_state_t *s, const char *dir) {
    compare_settings (r, s, dir);
    json_t *now = data_json (r);
    compare_data (json_object_get (s->json, "data"), now, dir);
    json_decref (now);
    compare_base (r, s, dir);
}
