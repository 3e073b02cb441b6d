/* What a run reads: tokenizer, token files, loaders; and the model's size, which follows from preset, base and
 * vocabulary.
 *
 * Opening is local, so each stage ends in an agreement.  All ids of all files are checked once, each rank a part. */
#include "config.h"

#include <string.h>

#include "cli/run.h"

bool wb_run_sample (void *reader, int32_t *ids, int64_t k) {
    const wb_run_reader_t *r = reader;

    if (k + r->ahead < r->n) wb_loader_prefetch (r->loader, k + r->ahead);
    wb_loader_sample (r->loader, ids, k);
    return true;
}

/* The model's size, the vocabulary's share of it given or from the tokenizer. */
static wb_status find_size (wb_size_t *s, const wb_tokenizer_t *tokenizer, const wb_config_t *c) {
    if (c->base != NULL) {
        WB_TRY (wb_model_config_read (s, c->base));
    } else {
        *s = (wb_size_t){c->layers, c->width, c->heads, c->context, 0};
        s->V = tokenizer != NULL ? wb_tokenizer_size (tokenizer) : c->vocab_size;
    }
    if (c->base == NULL && c->vocab_size > 0) {
        if (c->vocab_size < s->V)
            return WB_FAIL (WB_EUSAGE, "model.vocab_size = %lld is less than the tokenizer's %lld ids: leave it out",
                            (long long) c->vocab_size, (long long) s->V);
        s->V = c->vocab_size;
    }
    if (tokenizer != NULL && wb_tokenizer_size (tokenizer) > s->V)
        return WB_FAIL (WB_EUSAGE,
                        "the tokenizer has %d ids, the model %s has room for %lld: they do not belong together",
                        wb_tokenizer_size (tokenizer), c->base != NULL ? c->base : "", (long long) s->V);
    return wb_size_check (s);
}

wb_status wb_run_size (wb_size_t *out, wb_tokenizer_t **tokenizer, const wb_config_t *c) {
    *tokenizer = NULL;
    if (c->tokenizer != NULL)
        WB_TRY (wb_tokenizer_new (tokenizer, c->tokenizer));
    else if (c->base != NULL && wb_tokenizer_new (tokenizer, c->base) != WB_OK) /* it may come without one */
        wb_error_clear ();
    return find_size (out, *tokenizer, c);
}

void wb_run_step_options (wb_step_options_t *o, const wb_config_t *c, const wb_size_t *size) {
    memset (o, 0, sizeof *o);
    o->size = *size;
    o->B = c->micro_batch;
    o->T = c->sequence_length > 0 ? c->sequence_length : size->T;
    o->global_batch = c->global_batch;
    o->v = (int) c->interleave;
    o->schedule = (wb_schedule_kind) wb_config_choice ("parallel.schedule", c->schedule);
    o->recompute = (wb_recompute) wb_config_choice ("parallel.recompute", c->recompute);
    o->sequence = c->sequence_parallel;
    o->zero = c->zero > 0;
    o->wire = (wb_wire) wb_config_choice ("parallel.wire", c->wire);
    o->seed = (uint64_t) c->seed;
    o->optim.kind = (wb_optim_kind) wb_config_choice ("train.optimizer", c->optimizer);
    o->optim.decay = (wb_decay_kind) wb_config_choice ("train.decay", c->decay);
    o->optim.lr = c->lr;
    o->optim.min_lr = c->min_lr;
    o->optim.beta1 = c->beta1;
    o->optim.beta2 = c->beta2;
    o->optim.eps = c->eps;
    o->optim.weight_decay = c->weight_decay;
    o->optim.clip = c->clip;
    o->optim.warmup = c->warmup;
    o->optim.steps = c->steps;
    o->optim.muon_momentum = c->muon_momentum;
    o->optim.muon_rms = c->muon_rms;
    o->optim.muon_check = c->muon_check;
    o->optim.muon_steps = (int) c->muon_steps;
    o->optim.muon_nesterov = c->muon_nesterov;
    o->optim.muon_split_qkv = c->muon_split_qkv;
    o->optim.muon_layout = (wb_muon_layout) wb_config_choice ("train.muon_layout", c->muon_layout);
}

static wb_status open_files (wb_run_data_t *d, const wb_config_t *c) {
    if (c->ntrain == 0)
        return WB_FAIL (
            WB_EUSAGE,
            "%s: data.train names no token file: make one with `wabun encode` and write data = { train = \"PREFIX\"; }",
            c->path);
    for (int i = 0; i < c->ntrain; ++i) {
        WB_TRY (wb_tokens_open (&d->files[i], c->train[i].tokens));
        ++d->nfiles;
    }
    return c->validation != NULL ? wb_tokens_open (&d->valid_file, c->validation) : WB_OK;
}

static wb_status check_ids (const wb_run_data_t *d, wb_comm_t *world) {
    int32_t V = (int32_t) d->size.V;

    for (int i = 0; i < d->nfiles; ++i)
        WB_TRY (wb_tokens_check (d->files[i], V, wb_comm_rank (world), wb_comm_size (world)));
    return d->valid_file != NULL ? wb_tokens_check (d->valid_file, V, wb_comm_rank (world), wb_comm_size (world))
                                 : WB_OK;
}

/* Bytes of text of the targets of samples 0 .. n - 1. */
static wb_status count_bytes (double *bytes, double *ids_counted, const wb_run_data_t *d, const wb_loader_t *l,
                              int64_t n, int64_t T) {
    int32_t *ids = wb_malloc ((size_t) (T + 1) * sizeof *ids);

    *bytes = *ids_counted = 0;
    if (ids == NULL) return WB_FAIL (WB_ENOMEM, "out of memory for a window of %lld ids", (long long) T);
    for (int64_t k = 0; k < n; ++k) {
        wb_loader_sample (l, ids, k);
        for (int64_t i = 1; i <= T; ++i)
            if (ids[i] < wb_tokenizer_size (d->tokenizer)) *bytes += wb_tokenizer_id_bytes (d->tokenizer, ids[i]);
        *ids_counted += (double) T;
    }
    wb_free (ids);
    return WB_OK;
}

static wb_status open_loaders (wb_run_data_t *d, const wb_config_t *c) {
    int64_t T = c->sequence_length > 0 ? c->sequence_length : d->size.T, some;
    wb_loader_part_t parts[WB_MAX_DATA];
    double ids;

    for (int i = 0; i < d->nfiles; ++i) parts[i] = (wb_loader_part_t){d->files[i], c->train[i].weight};
    WB_TRY (wb_loader_new (&d->train, parts, d->nfiles, T, (uint64_t) c->seed, c->shuffle));
    if (d->tokenizer != NULL) {
        some = wb_loader_windows (d->train) < 16 ? wb_loader_windows (d->train) : 16;
        WB_TRY (count_bytes (&d->train_bytes_per_token, &ids, d, d->train, some, T));
        d->train_bytes_per_token /= ids;
    }
    if (d->valid_file == NULL) return WB_OK;
    parts[0] = (wb_loader_part_t){d->valid_file, 1};
    WB_TRY (wb_loader_new (&d->valid, parts, 1, T, (uint64_t) c->seed, true)); /* a fixed sample of the whole file */
    d->valid_samples = wb_loader_windows (d->valid);
    if (c->valid_samples > 0 && c->valid_samples < d->valid_samples) d->valid_samples = c->valid_samples;
    return d->tokenizer != NULL ? count_bytes (&d->valid_bytes, &ids, d, d->valid, d->valid_samples, T) : WB_OK;
}

wb_status wb_run_data_open (wb_run_data_t *d, wb_comm_t *world, const wb_config_t *c) {
    memset (d, 0, sizeof *d);
    WB_TRY (wb_agree (world, wb_run_size (&d->size, &d->tokenizer, c)));
    WB_TRY (wb_agree (world, open_files (d, c)));
    WB_TRY (wb_agree (world, check_ids (d, world)));
    return wb_agree (world, open_loaders (d, c));
}

void wb_run_data_close (wb_run_data_t *d) {
    if (d->train != NULL) wb_loader_destroy (d->train);
    if (d->valid != NULL) wb_loader_destroy (d->valid);
    for (int i = 0; i < d->nfiles; ++i) wb_tokens_close (d->files[i]);
    if (d->valid_file != NULL) wb_tokens_close (d->valid_file);
    if (d->tokenizer != NULL) wb_tokenizer_destroy (d->tokenizer);
    memset (d, 0, sizeof *d);
}
