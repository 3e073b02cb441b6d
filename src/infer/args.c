/* What commands that use a model share: their options, the model with a tokenizer, texts from a file.
 *
 * Not here: options of one command only, printing. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wabun/infer.h"
#include "wabun/launch.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

static wb_status take_choice (int *out, wb_opts_t *o, const char *option, const char *const *names) {
    const char *name;
    char list[64];
    WB_TRY (wb_opts_text (o, &name));
    *out = wb_choice (names, name);
    if (*out >= 0) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "%s wants one of %s, got `%s`", option, wb_choice_list (list, sizeof list, names), name);
}

wb_status wb_weights_option (wb_weights_type *out, wb_opts_t *o) {
    int i;
    WB_TRY (take_choice (&i, o, "--weights", wb_weights_names));
    *out = (wb_weights_type) i;
    return WB_OK;
}

wb_status wb_cache_option (bool *half, wb_opts_t *o) {
    static const char *const names[] = {"fp32", "bf16", NULL};
    int i;
    WB_TRY (take_choice (&i, o, "--cache", names));
    *half = i == 1;
    return WB_OK;
}

bool wb_model_args_next (wb_model_args_t *a, wb_opts_t *o, wb_status *status) {
    *status = WB_OK;
    while (*status == WB_OK && wb_opts_next (o)) {
        if (wb_opts_is (o, "--model"))
            *status = wb_opts_text (o, &a->model);
        else if (wb_opts_is (o, "--tokenizer"))
            *status = wb_opts_text (o, &a->tokenizer);
        else if (wb_opts_is (o, "--threads"))
            *status = wb_opts_int (o, &a->threads, 1, 4096);
        else if (wb_opts_is (o, "--weights"))
            *status = wb_weights_option (&a->weights, o);
        else if (wb_opts_is (o, "--cache"))
            *status = wb_cache_option (&a->half_cache, o);
        else if (wb_opts_is (o, "--no-verify"))
            *status = wb_opts_flag (o, &a->no_verify);
        else if (wb_opts_is (o, "--share"))
            *status = wb_opts_flag (o, &a->share);
        else if (wb_opts_is (o, "--from"))
            *status = wb_opts_text (o, &a->text.from);
        else if (wb_opts_is (o, "--keep-garbled"))
            *status = wb_opts_flag (o, &a->text.keep_garbled);
        else
            return true;
    }
    return false;
}

wb_status wb_model_args_unknown (const wb_model_args_t *a, wb_opts_t *o, const char *others) {
    if (wb_opts_is_file (o) && (a->model == NULL || others != NULL))
        return WB_FAIL (WB_EUSAGE, "`%s` is one argument too many: the model is given by --model DIR%s%s", o->arg,
                        others != NULL ? ", " : "", others != NULL ? others : "");
    return wb_opts_unknown (o);
}

/* --logit-bias ID=X, once more. */
static wb_status take_bias (wb_sampling_t *s, wb_opts_t *o) {
    const char *text, *equals;
    char number[32];
    int64_t id;
    double add;
    WB_TRY (wb_opts_text (o, &text));
    equals = strchr (text, '=');
    if (equals == NULL || (size_t) (equals - text) >= sizeof number)
        return WB_FAIL (WB_EUSAGE,
                        "--logit-bias wants ID=X, got `%s`: ids of words are what wabun encode --jsonl prints", text);
    snprintf (number, sizeof number, "%.*s", (int) (equals - text), text);
    WB_TRY (wb_opt_int (&id, "--logit-bias", number, 0, INT32_MAX));
    WB_TRY (wb_opt_float (&add, "--logit-bias", equals + 1, -1000.0, 1000.0));
    if (s->nbias == WB_BIAS_MAX) return WB_FAIL (WB_EUSAGE, "--logit-bias may be given %d times at most", WB_BIAS_MAX);
    s->bias[s->nbias++] = (wb_bias_t){(int32_t) id, (float) add};
    return WB_OK;
}

bool wb_sampling_option (wb_sampling_t *s, wb_opts_t *o, wb_status *status) {
    const struct {
        const char *name;
        double *at, min, max;
    } numbers[] = {{"--temperature", &s->temperature, 0.0, 1000.0},
                   {"--top-p", &s->top_p, 0.0, 1.0},
                   {"--min-p", &s->min_p, 0.0, 1.0},
                   {"--typical-p", &s->typical_p, 0.0, 1.0},
                   {"--repetition-penalty", &s->repetition_penalty, 0.01, 100.0},
                   {"--frequency-penalty", &s->frequency_penalty, -100.0, 100.0},
                   {"--presence-penalty", &s->presence_penalty, -100.0, 100.0},
                   {"--length-penalty", &s->search.length_penalty, -10.0, 10.0},
                   {"--penalty-alpha", &s->search.penalty_alpha, 0.0, 1.0}};
    if (wb_opts_is (o, "--top-k")) { /* the first of two that are as near to what was typed is proposed */
        *status = wb_opts_int (o, &s->top_k, 0, INT32_MAX);
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (wb_opts_is (o, numbers[i].name)) {
            *status = wb_opts_float (o, numbers[i].at, numbers[i].min, numbers[i].max);
            return true;
        }
    if (wb_opts_is (o, "--no-repeat-ngram"))
        *status = wb_opts_int (o, &s->no_repeat_ngram, 0, INT32_MAX);
    else if (wb_opts_is (o, "--logit-bias"))
        *status = take_bias (s, o);
    else if (wb_opts_is (o, "--beams"))
        *status = wb_opts_int (o, &s->search.beams, 0, WB_SEARCH_MAX);
    else if (wb_opts_is (o, "--candidates"))
        *status = wb_opts_int (o, &s->search.candidates, 1, WB_SEARCH_MAX);
    else
        return false;
    return true;
}

/* --stop TEXT, once more. */
static wb_status take_stop (wb_generation_t *g, wb_opts_t *o) {
    const char *text;
    WB_TRY (wb_opts_text (o, &text));
    if (*text == 0) return WB_FAIL (WB_EUSAGE, "--stop wants a text that is not empty");
    if (g->nstop == WB_STOPS_MAX) return WB_FAIL (WB_EUSAGE, "--stop may be given %d times at most", WB_STOPS_MAX);
    g->stop[g->nstop++] = text;
    return WB_OK;
}

bool wb_generation_option (wb_generation_t *g, wb_opts_t *o, wb_status *status) {
    if (wb_opts_is (o, "--num-generate"))
        *status = wb_opts_int (o, &g->samples, 1, 1000000);
    else if (wb_opts_is (o, "--min-length"))
        *status = wb_opts_int (o, &g->min_length, 0, INT32_MAX);
    else if (wb_opts_is (o, "--max-length"))
        *status = wb_opts_int (o, &g->max_length, 1, INT32_MAX);
    else if (wb_opts_is (o, "--stop"))
        *status = take_stop (g, o);
    else if (wb_opts_is (o, "--logprobs"))
        *status = wb_opts_int (o, &g->top_logprobs, 0, WB_LIKELY_MAX), g->logprobs = true;
    else
        return wb_sampling_option (&g->sampling, o, status);
    return true;
}

wb_status wb_generation_check (const wb_generation_t *g) {
    const wb_searching_t *s = &g->sampling.search;
    const char *why = wb_search_refusal (s, g->samples);
    if (why != NULL && g->samples > 1)
        return WB_FAIL (WB_EUSAGE, "--num-generate %lld: %s", (long long) g->samples, why);
    if (why != NULL) return WB_FAIL (WB_EUSAGE, "--beams and --penalty-alpha: %s", why);
    if (g->min_length <= g->max_length) return WB_OK;
    return WB_FAIL (WB_EUSAGE, "--min-length %lld is more than --max-length %lld", (long long) g->min_length,
                    (long long) g->max_length);
}

void wb_sampling_seed (wb_sampling_t *s, int64_t asked) {
    struct timespec now;
    s->seed = (uint64_t) asked;
    if (asked >= 0) return;
    clock_gettime (CLOCK_REALTIME, &now);
    const uint64_t x = (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
    s->seed = wb_rng_u64 (x, (uint64_t) getpid (), 0) % 1000000000u; /* short enough to be typed again */
    if (s->temperature > 0.0 && wb_search_width (&s->search) == 0)
        wb_info ("seed %llu: --seed %llu writes the same again", (unsigned long long) s->seed,
                 (unsigned long long) s->seed);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* The first fault of a model that is to be loaded. */
static void damaged (void *ctx, const char *text) {
    wb_ckpt_check_t *c = ctx;
    if (c->faults == 1)
        (void) WB_FAIL (c->unread > 0 ? WB_EIO : WB_EDATA, "%s (--no-verify loads the model as it is)", text);
}

/* What a model is loaded from is as it was written; the optimizer's state is not read. */
static wb_status verify_one (const char *model) {
    wb_ckpt_check_t c = {.depth = WB_CKPT_SUMS, .except = "optimizer.safetensors", .fault = damaged};
    c.ctx = &c;
    char *dir = wb_dir_latest (model), *sums = dir != NULL ? wb_format ("%s/checksums.json", dir) : NULL;
    wb_status status = sums != NULL ? WB_OK : WB_NOMEM ("model %s", model);
    if (status == WB_OK && wb_file_exists (sums)) status = wb_ckpt_check (&c, dir);
    wb_free (dir);
    wb_free (sums);
    return status == WB_OK && c.faults > 0 ? (wb_status) wb_error_get ()->status : status;
}

/* Of an adapter, the model that it belongs to as well. */
static wb_status verify (const char *model) {
    wb_adapter_config_t c;
    char *dir = wb_dir_latest (model);
    wb_status status = dir != NULL ? verify_one (dir) : WB_NOMEM ("model %s", model);
    if (status == WB_OK && wb_adapter_probe (dir)) {
        status = wb_adapter_config_read (&c, dir);
        if (status == WB_OK) status = verify_one (c.base);
        if (status == WB_OK) wb_adapter_config_fini (&c);
    }
    wb_free (dir);
    return status;
}

/* For other processes as well; where that cannot be, for this one. */
static wb_status share (wb_model_t *m, const char *dir) {
    char *named = wb_dir_latest (dir);
    if (named == NULL) return WB_NOMEM ("model %s", dir);
    const bool adapter = wb_adapter_probe (named);
    wb_free (named);
    if (adapter) {
        wb_warn ("%s is an adapter, merged with its model in the memory of each process: --share changes nothing", dir);
        return WB_OK;
    }
    const wb_status status = wb_model_share (m, dir);
    if (status != WB_EIO) return status;
    wb_error_t e;
    wb_error_take (&e);
    wb_warn ("the weights are not shared: %s", e.text);
    return WB_OK;
}

static wb_status open_weights (wb_model_t **out, const wb_model_args_t *a) {
    if (a->share) WB_TRY (wb_model_map (out, a->model, a->tokenizer, a->weights, !a->no_verify));
    if (*out != NULL) return WB_OK;
    if (!a->no_verify) WB_TRY (verify (a->model));
    WB_TRY (wb_model_load_as (out, a->model, a->tokenizer, a->weights));
    const wb_status status = a->share ? share (*out, a->model) : WB_OK;
    if (status == WB_OK) return WB_OK;
    wb_model_destroy (*out);
    *out = NULL;
    return status;
}

wb_status wb_model_open (wb_model_t **out, const wb_model_args_t *a, const char *command) {
    *out = NULL;
    if (a->model == NULL)
        return WB_FAIL (WB_EUSAGE, "%s wants --model DIR: a checkpoint, or any Hugging Face GPT-2 directory", command);
    WB_TRY (wb_threads_check (a->threads));
    if (a->threads > 0 || wb_threads_env () == 0) {
        const int cores = wb_cpu_cores (), threads = a->threads > 0 ? (int) a->threads : wb_threads_alone ();
        if (threads > cores) wb_threads_crowded (1, threads, cores);
        wb_kern_threads_set (threads);
        wb_blas_threads_set (threads);
    }
    WB_TRY (open_weights (out, a));
    (*out)->form.half_cache = a->half_cache;
    if ((*out)->tokenizer != NULL) {
        wb_slow_warn ();
        return WB_OK;
    }
    wb_model_destroy (*out);
    *out = NULL;
    char known[WB_TOKENIZER_KNOWN];
    return WB_FAIL (WB_EDATA, "model %s: no tokenizer in it: name the one it was trained with by --tokenizer T; %s",
                    a->model, wb_tokenizer_known (known));
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

wb_status wb_context_read (wb_ids_t *ids, const wb_tokenizer_t *t, const char *context, const char *file,
                           const wb_text_options_t *o) {
    if (context == NULL && file == NULL) return WB_OK;
    const bool is_stdin = file != NULL && strcmp (file, "-") == 0;
    char *read = NULL;
    size_t n = context != NULL ? strlen (context) : 0;
    if (context == NULL) WB_TRY (wb_file_read (&read, &n, is_stdin ? "/dev/stdin" : file));
    wb_buf_t text = {0};
    wb_status status = wb_text_read (&text,
                                     context != NULL ? "--context"
                                     : is_stdin      ? "standard input"
                                                     : file,
                                     context != NULL ? context : read, n, o);
    if (context == NULL && text.len > 0 && text.data[text.len - 1] == '\n') text.len--; /* editors put it there */
    if (context == NULL && text.len > 0 && text.data[text.len - 1] == '\r') text.len--;
    if (status == WB_OK) status = wb_tokenizer_encode (t, ids, text.data, text.len, false);
    wb_buf_fini (&text);
    wb_free (read);
    return status;
}

/* The lines that are there come before the error that ends the reading. */
static wb_status run_before (wb_status status, wb_status (*run) (void *ctx), void *ctx) {
    wb_error_t e;
    wb_error_take (&e);
    if (run (ctx) != WB_OK) wb_error_clear ();
    wb_error_put (&e);
    return status;
}

wb_status wb_lines_each (const char *path, const wb_text_options_t *o,
                         wb_status (*put) (void *ctx, const wb_text_t *text), wb_status (*run) (void *ctx), void *ctx) {
    wb_text_lines_t in;
    bool waiting = false; /* a text for run */
    wb_status status = wb_text_lines_open (&in, path, o);
    while (status == WB_OK) {
        wb_text_t text = {.source = in.name};
        status = wb_text_lines_next (&in, &text.bytes, &text.n, !waiting);
        if (status != WB_OK && waiting) status = run_before (status, run, ctx);
        if (status != WB_OK || (text.bytes == NULL && !waiting)) break;
        text.line = in.number;
        status = text.bytes != NULL ? put (ctx, &text) : run (ctx);
        waiting = text.bytes != NULL;
    }
    if (status == WB_OK && in.number == 0) wb_warn ("%s: there is no text in it", in.name);
    wb_text_lines_close (&in);
    return status;
}
