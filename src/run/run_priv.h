/* What the parts of a training run share.
 *
 *   run.c   start, the loop over steps
 *   data.c  tokenizer, token files, loaders
 *   lock.c  one run at a time in a run directory
 *   save.c  save, resume, start from a base model
 *   log.c   start-up report, progress, metrics.jsonl
 */
#ifndef WABUN_RUN_PRIV_H
#define WABUN_RUN_PRIV_H

#include "wabun/launch.h"
#include "wabun/run.h"

/* What a rank reads from: everything here is the same on all ranks. */
typedef struct wb_run_data {
    wb_tokenizer_t *tokenizer; /* NULL: token files and a vocabulary size were given */
    wb_size_t size;
    wb_tokens_t *files[WB_MAX_DATA];
    int nfiles;
    wb_loader_t *train;
    wb_tokens_t *valid_file;
    wb_loader_t *valid;           /* NULL: no validation */
    int64_t valid_samples;        /* used each time */
    double valid_bytes;           /* bytes of text of their targets, 0 = not known */
    double train_bytes_per_token; /* 0 = not known */
} wb_run_data_t;

/* Open everything the configuration names and check every id.  Collective over world; errors agreed. */
wb_status wb_run_data_open (wb_run_data_t *out, wb_comm_t *world, const wb_config_t *c) WB_NODISCARD;
void wb_run_data_close (wb_run_data_t *d);
/* What wb_run_sample reads from.  A sample is read again `ahead` samples later by the same rank, or not at all: that
 * one is asked for meanwhile, so that a step finds it in memory. */
typedef struct wb_run_reader {
    const wb_loader_t *loader;
    int64_t ahead, n; /* sample k < n is followed by k + ahead */
} wb_run_reader_t;
/* wb_sample_fn; ctx is a reader. */
bool wb_run_sample (void *reader, int32_t *ids, int64_t k);

/* A run as the loop sees it. */
typedef struct wb_run {
    wb_comm_t *world;
    wb_topo_t *topo;
    wb_config_t *config;
    wb_run_data_t data;
    wb_trainer_t *trainer;
    int threads;
    int64_t saved;           /* step of the newest checkpoint of this run, -1: none */
    double tokens;           /* tokens seen since step 0 */
    bool resumed;            /* weights and step are those of a checkpoint */
    FILE *metrics;           /* metrics.jsonl, rank 0 */
    wb_rank_record_t *ranks; /* [ranks] room for who waits for whom */
    int lock;                /* descriptor of the locked file, rank 0; -1: none */
    double started;          /* wb_now () when the loop began */
    int64_t first;           /* step it began at */
    double peak;             /* measured FMA peak of all ranks, GFLOP/s */
    double step_seconds;     /* of late */
    double loss;             /* of the last step */
    double shown;            /* wb_now () of the progress line */
    double planned;          /* bytes a rank takes at most, by the plan */
    double mapped;           /* bytes of mapped files, before the token files were */
} wb_run_t;

/* What wabun itself makes and removes in a run directory: the tokenizer's files of a checkpoint under way. */
#define WB_RUN_SCRATCH ".tokenizer"

/* Make the run directory, lock it and clear away what a killed run left half written.  Collective over world.  Errors:
 * WB_EIO, also when another run holds it; agreed. */
wb_status wb_run_lock (wb_run_t *r) WB_NODISCARD;
void wb_run_unlock (wb_run_t *r); /* not collective */

/* Save step trainer->step, point `latest` at it, prune.  Collective over world.  Errors: WB_EIO, agreed. */
wb_status wb_run_save (wb_run_t *r) WB_NODISCARD;
/* Load weights, optimizer and step: from `resume` "auto" (newest good checkpoint of the run, or none) or a directory.
 * A checkpoint from elsewhere is refused where the run has its own of that step or later: the next run would go on from
 * those.  r->saved tells whether it is one of the run.  Collective over world.  Errors: WB_EIO, WB_EDATA, WB_EUSAGE;
 * agreed. */
wb_status wb_run_resume (wb_run_t *r, const char *resume) WB_NODISCARD;
/* Weights only, from a model directory.  Collective. */
wb_status wb_run_load_weights (wb_run_t *r, const char *dir) WB_NODISCARD;

/* Bytes of files that are mapped and in memory now, 0 where the system does not tell. */
double wb_run_mapped (void);

/* Start-up report.  Collective over world (it gathers memory, hosts and threads). */
wb_status wb_run_report (wb_run_t *r) WB_NODISCARD;
/* Open (appending) metrics.jsonl.  Lines of steps after trainer->step, left over from a run that went on further, are
 * dropped. */
wb_status wb_run_metrics_open (wb_run_t *r) WB_NODISCARD;
/* After a step: progress line or plain line, metrics at log intervals.  Collective where it gathers. */
void wb_run_log_step (wb_run_t *r, const wb_step_result_t *s);
/* At the end: peak of memory over ranks against the plan.  Collective over world. */
void wb_run_log_memory (wb_run_t *r);
/* After a validation: loss in nats per token. */
void wb_run_log_valid (wb_run_t *r, double loss_sum, double tokens, double seconds);
/* Write `text` generated at this step to the log and to samples.txt of the run. */
void wb_run_log_sample (wb_run_t *r, const char *text);

#endif
