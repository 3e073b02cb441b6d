/* What a run reads: tokenizer, token files, loaders.
 *
 * Opening is local, so each stage ends in an agreement.  All ids of all files are checked once, each rank a part. */
#include "config.h"

#include <string.h>

#include "run/run_priv.h"

wb_status wb_run_sample (void *reader, int32_t *ids, int64_t k) {
    const wb_run_reader_t *r = reader;
    if (k + r->ahead < r->n) wb_loader_prefetch (r->loader, k + r->ahead);
    return wb_loader_sample (r->loader, ids, k);
}

/* Ids of another tokenizer would be learned without a word. */
static wb_status check_tokenizer (const wb_tokens_t *f, const wb_run_data_t *d, const wb_config_t *c) {
    wb_tokenizer_identity_t its, own;
    bool known;
    char text[2][WB_TOKENIZER_IDENTITY];
    if (d->tokenizer == NULL) return WB_OK;
    WB_TRY (wb_tokens_tokenizer (&its, &known, f));
    if (!known) return WB_OK;
    wb_tokenizer_identify (&own, d->tokenizer);
    if (wb_tokenizer_same (&its, &own)) return WB_OK;
    const bool given = c->tokenizer != NULL;
    return WB_FAIL (WB_EUSAGE,
                    "%s was encoded with the tokenizer %s, but %s = \"%s\" is %s: name the tokenizer that it "
                    "was encoded with, or encode the text again, with --tokenizer %s",
                    wb_tokens_path (f), wb_tokenizer_identity_text (text[0], &its),
                    given ? "`tokenizer`" : "model.base", given ? c->tokenizer : c->model.base,
                    wb_tokenizer_identity_text (text[1], &own), given ? c->tokenizer : c->model.base);
}

static wb_status open_files (wb_run_data_t *d, const wb_config_t *c) {
    if (c->data.train.n == 0)
        return WB_FAIL (
            WB_EUSAGE,
            "%s: data.train names no token file: make one with `wabun encode` and write data = { train = \"PREFIX\"; }",
            c->path);
    d->files = wb_calloc ((size_t) c->data.train.n, sizeof *d->files);
    d->bytes = wb_calloc ((size_t) c->data.train.n, sizeof *d->bytes);
    d->hashes = wb_calloc ((size_t) c->data.train.n, sizeof *d->hashes);
    if (d->files == NULL || d->bytes == NULL || d->hashes == NULL) return WB_NOMEM ("%d token files", c->data.train.n);
    for (int i = 0; i < c->data.train.n; i++) {
        WB_TRY (wb_tokens_open (&d->files[i], c->data.train.list[i].name));
        d->nfiles++;
        WB_TRY (check_tokenizer (d->files[i], d, c));
    }
    if (c->data.validation == NULL) return WB_OK;
    WB_TRY (wb_tokens_open (&d->valid_file, c->data.validation));
    return check_tokenizer (d->valid_file, d, c);
}

static wb_status check_ids (const wb_run_data_t *d, wb_comm_t *world) {
    int32_t V = (int32_t) d->size.V;
    for (int i = 0; i < d->nfiles; i++)
        WB_TRY (wb_tokens_check (d->files[i], V, wb_comm_rank (world), wb_comm_size (world)));
    return d->valid_file != NULL ? wb_tokens_check (d->valid_file, V, wb_comm_rank (world), wb_comm_size (world))
                                 : WB_OK;
}

/* Bytes of text of the targets of samples 0 .. n - 1. */
static wb_status count_bytes (double *bytes, double *ids_counted, const wb_run_data_t *d, const wb_loader_t *l,
                              int64_t n, int64_t T) {
    int32_t *ids = wb_malloc ((size_t) (T + 1) * sizeof *ids);

    *bytes = *ids_counted = 0;
    if (ids == NULL) return WB_NOMEM ("a window of %lld ids", (long long) T);
    wb_status status = WB_OK;
    for (int64_t k = 0; k < n && status == WB_OK; k++) {
        status = wb_loader_sample (l, ids, k);
        for (int64_t i = 1; i <= T && status == WB_OK; i++)
            if (ids[i] < wb_tokenizer_size (d->tokenizer)) *bytes += wb_tokenizer_id_bytes (d->tokenizer, ids[i]);
        *ids_counted += (double) T;
    }
    wb_free (ids);
    return status;
}

static wb_status open_train (wb_run_data_t *d, const wb_config_t *c, int64_t T) {
    wb_loader_part_t *parts = wb_calloc ((size_t) d->nfiles, sizeof *parts);
    if (parts == NULL) return WB_NOMEM ("%d token files", d->nfiles);
    for (int i = 0; i < d->nfiles; i++) parts[i] = (wb_loader_part_t){d->files[i], c->data.train.list[i].weight};
    wb_status status = wb_loader_new (&d->train, parts, d->nfiles, T, (uint64_t) c->seed, c->data.shuffle);
    wb_free (parts);
    return status;
}

static wb_status open_loaders (wb_run_data_t *d, const wb_config_t *c) {
    int64_t T = c->step.T > 0 ? c->step.T : d->size.T, some;
    double ids;
    WB_TRY (open_train (d, c, T));
    if (d->tokenizer != NULL) {
        some = wb_loader_windows (d->train) < 16 ? wb_loader_windows (d->train) : 16;
        WB_TRY (count_bytes (&d->train_bytes_per_token, &ids, d, d->train, some, T));
        d->train_bytes_per_token /= ids;
    }
    if (d->valid_file == NULL) return WB_OK;
    WB_TRY (wb_loader_new (&d->valid, &(wb_loader_part_t){d->valid_file, 1}, 1, T, (uint64_t) c->seed,
                           true)); /* a fixed sample of the whole file */
    d->valid_samples = wb_loader_windows (d->valid);
    if (c->run.validation_samples > 0 && c->run.validation_samples < d->valid_samples)
        d->valid_samples = c->run.validation_samples;
    return d->tokenizer != NULL ? count_bytes (&d->valid_bytes, &ids, d, d->valid, d->valid_samples, T) : WB_OK;
}

static wb_status identify (wb_run_data_t *d) {
    for (int i = 0; i < d->nfiles; i++) WB_TRY (wb_tokens_identity (d->files[i], &d->bytes[i], &d->hashes[i]));
    return WB_OK;
}

wb_status wb_run_data_open (wb_run_data_t *d, wb_comm_t *world, const wb_config_t *c) {
    memset (d, 0, sizeof *d);
    WB_TRY (wb_agree (world, wb_config_size (&d->size, &d->tokenizer, c)));
    WB_TRY (wb_agree (world, open_files (d, c)));
    WB_TRY (wb_agree (world, check_ids (d, world)));
    WB_TRY (wb_agree (world, wb_comm_rank (world) == 0 ? identify (d) : WB_OK));
    return wb_agree (world, open_loaders (d, c));
}

void wb_run_data_close (wb_run_data_t *d) {
    if (d->train != NULL) wb_loader_destroy (d->train);
    if (d->valid != NULL) wb_loader_destroy (d->valid);
    for (int i = 0; i < d->nfiles; i++) wb_tokens_close (d->files[i]);
    wb_free (d->files);
    wb_free (d->bytes);
    wb_free (d->hashes);
    if (d->valid_file != NULL) wb_tokens_close (d->valid_file);
    if (d->tokenizer != NULL) wb_tokenizer_destroy (d->tokenizer);
    memset (d, 0, sizeof *d);
}
