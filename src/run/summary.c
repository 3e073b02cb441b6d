/* The start-up report: everything that decides speed, memory and result, before the first step; and memory again at the
 * end.
 *
 * Not done here: what is told while the run goes (metrics_columns.c). */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_priv.h"
#include "wabun/engine.h"

double wb_run_token_flops (const wb_run_t *r) {
    const wb_step_options_t *o = &r->trainer->o;
    return wb_tuning_flops (&o->tuning, &o->size, o->T);
}

/* Collective over world. */
static void report_machine (const wb_run_t *r, double peak, const char *products) {
    wb_blas_info_t blas;
    const wb_topo_t *g = r->topo;
    int ranks = wb_comm_size (r->world);
    const char *bind = getenv ("OMP_PROC_BIND");
    wb_blas_info (&blas);
    int64_t slow = blas.want != NULL;
    wb_info ("  machine     %s; %d %s on %d %s (%s)", wb_cpu_name (), ranks, ranks == 1 ? "rank" : "ranks", g->nodes,
             g->nodes == 1 ? "node" : "nodes", wb_comm_library ());
    wb_info ("  threads     %d a rank, %d core%s in the mask of rank 0, OMP_PROC_BIND %s", r->threads, wb_cpu_cores (),
             wb_plural (wb_cpu_cores ()), bind != NULL ? bind : "not set");
    if (wb_wait_note ()[0] != 0) wb_info ("              %s", wb_wait_note ());
    wb_info ("  BLAS        %s; %s; core type %s%s", blas.config, blas.threading, blas.core, wb_retuned_note ());
    const bool bf16 = r->trainer->o.precision != WB_PRECISION_FP32;
    wb_info ("  products    %s%s%s%s", wb_gemm_library_get () == WB_GEMM_ONEDNN ? "oneDNN" : "BLAS", products,
             bf16 ? "; linears and output in bf16 with fp32 sums, by " : "",
             bf16 ? wb_bf16_unit_name (wb_bf16_unit_get ()) : "");
    wb_info ("  kernels     %s; %.0f GFLOP/s peak of fused multiply-adds%s on rank 0, measured", r->trainer->kern->name,
             peak, bf16 && wb_bf16_unit_get () != WB_BF16_PLAIN ? " of bf16" : "");
    if (wb_launcher_grace () >= 0 && wb_launcher_grace () < 10)
        wb_info ("  stopping    after Ctrl-C, mpirun gives the ranks %d s to save, which may be too short: export "
                 "OMPI_MCA_odls_base_sigkill_timeout=10 before mpirun, or stop with kill -USR1 of mpirun",
                 2 * wb_launcher_grace ());
    wb_comm_sum_i64 (r->world, &slow, 1);
    wb_slow_warn ();
    if (blas.want == NULL && slow > 0) /* what is wrong on rank 0 has been said */
        wb_warn ("the BLAS of %lld of %d ranks runs slower kernels than their processors could: set OPENBLAS_CORETYPE "
                 "on their nodes",
                 (long long) slow, ranks);
    if (strcmp (blas.threading, "pthreads") == 0 && r->threads > 1)
        wb_warn ("this OpenBLAS is the pthreads build, which disturbs OpenMP: install the OpenMP build "
                 "(libopenblas0-openmp)");
}

void wb_run_memory_report (wb_run_t *r) {
    double peak = (double) wb_mem_rss_peak ();
    char a[32], b[32];
    wb_comm_max_f64 (r->world, &peak, 1);
    wb_info ("peak memory %s a rank at most, %s planned", wb_format_bytes (a, peak),
             wb_format_bytes (b, r->limits.planned));
}

bool wb_run_writes_samples (const wb_run_t *r) {
    return r->config->run.sample_every > 0 && r->data.tokenizer != NULL && r->topo->pp * r->topo->tp == 1 &&
           r->trainer->o.tuning.rank == 0;
}

/* Bytes that writing a text takes for as long as it lasts: a token is at least a byte of the context. */
static double sample_bytes (const wb_run_t *r) {
    const char *context = r->config->run.sample_context;
    int64_t used = r->config->run.sample_length + (context != NULL ? (int64_t) strlen (context) : 0) + 1;
    if (!wb_run_writes_samples (r) || wb_comm_rank (r->world) != 0) return 0;
    return (double) wb_engine_bytes (&r->trainer->o.size, &(wb_engine_limits_t){.texts = 1, .positions = used});
}

static wb_status report_memory (wb_run_t *r) {
    wb_memory_t m;
    double v[9];
    char b[9][32], samples[128] = "", copy[32];
    WB_TRY (wb_agree (r->world, wb_trainer_memory (&m, &r->trainer->o, &r->trainer->layout)));
    v[7] = (double) wb_trainer_overhead (wb_comm_size (r->world), r->threads, r->trainer->o.size.C);
    v[8] = sample_bytes (r);
    v[0] = (double) m.total + v[7] + v[8] + (r->saving.saver != NULL ? r->saving.copy : 0);
    v[1] = (double) m.parameters;
    v[2] = (double) m.gradients;
    v[3] = (double) m.optimizer;
    v[4] = (double) m.activations;
    v[5] = (double) m.work;
    v[6] = (double) m.communication;
    wb_comm_max_f64 (r->world, v, 9);
    r->limits.planned = v[0];
    for (int i = 0; i < 9; i++) wb_format_bytes (b[i], v[i]);
    if (v[8] > 0) snprintf (samples, sizeof samples, ", text samples %s on rank 0", b[8]);
    if (r->saving.saver != NULL) {
        const size_t used = strlen (samples);
        snprintf (samples + used, sizeof samples - used, ", copy for saving %s",
                  wb_format_bytes (copy, r->saving.copy));
    }
    wb_info ("  memory      %s a rank at most: parameters %s, gradients %s, optimizer %s, activations %s, work %s, "
             "communication %s%s, program about %s",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], samples, b[7]);
    return WB_OK;
}

static void report_saving (const wb_run_t *r) {
    const wb_run_options_t *o = &r->config->run;
    char every[48] = "at the end", a[32], b[32];
    if (o->checkpoint_every > 0) snprintf (every, sizeof every, "every %lld steps", (long long) o->checkpoint_every);
    if (r->saving.saver != NULL)
        wb_info ("  checkpoint  %s, %s, while steps go on: they wait only for a copy of it, %s a rank at most", every,
                 wb_format_bytes (a, r->saving.bytes), wb_format_bytes (b, r->saving.copy));
    else
        wb_info ("  checkpoint  %s, %s; steps wait for it%s", every, wb_format_bytes (a, r->saving.bytes),
                 r->saving.why);
}

/* Of several files: what share of the windows each has, and how often its own tokens come. */
static void report_mix (const wb_run_t *r, double tokens) {
    const wb_run_data_t *d = &r->data;
    double sum = 0;
    char n[32];
    for (int i = 0; i < d->nfiles; i++) sum += r->config->data.train.list[i].weight;
    for (int i = 0; i < d->nfiles && d->nfiles > 1 && i < 20; i++) {
        const double share = r->config->data.train.list[i].weight / sum, own = (double) wb_tokens_count (d->files[i]);
        wb_info ("  %-11s %s: %.3g %% of the windows, its %s tokens %.2f times", i == 0 ? "mix" : "",
                 wb_tokens_path (d->files[i]), 100 * share, wb_format_count (n, (int64_t) own), share * tokens / own);
    }
}

static void report_data (const wb_run_t *r) {
    const wb_run_data_t *d = &r->data;
    const wb_trainer_t *t = r->trainer;
    double batch = (double) t->o.global_batch * (double) t->o.T, all = 0, counted = 0,
           total = batch * (double) r->config->step.optim.steps;
    char n[32], m[32], k[32], answers[80] = "";
    for (int i = 0; i < d->nfiles; i++) {
        int64_t count = wb_tokens_count (d->files[i]);
        all += (double) count;
        if (wb_comm_rank (r->world) == 0 && wb_tokens_counted (d->files[i], &count) != WB_OK) wb_error_clear ();
        counted += (double) count;
    }
    if (counted < all)
        snprintf (answers, sizeof answers, " (%s of them of responses, which count)",
                  wb_format_count (n, (int64_t) counted));
    wb_info (
        "  data        %s tokens%s in %d %s%s%s; %s a step (%lld sequences of %lld), %s in %lld steps = %.2f epochs",
        wb_format_count (n, (int64_t) all), answers, d->nfiles, d->nfiles == 1 ? "file" : "files",
        d->tokenizer != NULL ? ", tokenizer " : "", d->tokenizer != NULL ? wb_tokenizer_kind (d->tokenizer) : "",
        wb_format_count (m, (int64_t) batch), (long long) t->o.global_batch, (long long) t->o.T,
        wb_format_count (k, (int64_t) total), (long long) r->config->step.optim.steps, total / all);
    report_mix (r, total);
    if (d->valid != NULL)
        wb_info ("  validation  %s of %s windows of %s, every %lld steps", wb_format_count (n, d->valid_samples),
                 wb_format_count (m, wb_loader_windows (d->valid)), wb_tokens_path (d->valid_file),
                 (long long) r->config->run.validation_every);
    else
        wb_info ("  validation  none (data.validation is not given)");
}

/* One of the products whose speed is measured; as brain floats the weights are any numbers. */
static void one_product (const wb_trainer_t *t, float *to, int64_t m) {
    const int64_t C = t->o.size.C;
    const uint16_t *half = t->o.precision != WB_PRECISION_FP32 ? (const uint16_t *) (const void *) t->weights : NULL;
    const wb_operand_t x = {t->weights, half};
    wb_gemm_of (to, x, x, m, 4 * C, C, 4 * C, C, 4 * C, false, false, 0);
}

/* GFLOP/s of a product of the model's widest linear, on all ranks at once, the slowest one's.  Weights and gradients
 * serve as its matrices, where they are large enough: the first step clears the gradients. */
static double product_speed (const wb_run_t *r) {
    const wb_trainer_t *t = r->trainer;
    int64_t C = t->o.size.C, m = t->o.B * t->o.T, most = (t->params->own - t->params->fixed) / (4 * C), done = 0;
    double start, speed;
    float *few = most < 256 ? wb_malloc ((size_t) (256 * 4 * C) * sizeof *few) : NULL,
          *to = few != NULL ? few : t->grads;
    if (few != NULL) most = t->params->own / C < 256 ? t->params->own / C : 256;
    if (m > most) m = most;
    one_product (t, to, m); /* the first is slow */
    wb_comm_barrier (r->world);
    start = wb_now ();
    for (; done < 2 || wb_now () - start < 0.05; done++) one_product (t, to, m);
    speed = (double) done * 8.0 * (double) (m * C * C) / (wb_now () - start) / 1e9;
    wb_free (few);
    wb_comm_min_f64 (r->world, &speed, 1);
    return speed;
}

double wb_run_measure_peak (wb_run_t *r) {
    double threads[1] = {(double) r->threads}, peak;
    wb_comm_barrier (r->world);
    peak = r->trainer->o.precision != WB_PRECISION_FP32 ? wb_kern_bf16_peak (r->threads, 0.05) : 0;
    if (peak <= 0) peak = wb_kern_fma_peak (r->threads, 0.05); /* so do products of bf16 without instructions for it */
    wb_comm_sum_f64 (r->world, threads, 1);
    r->limits.peak = fmax (r->limits.peak, peak * threads[0] / r->threads);
    return peak;
}

/* Rank 0, whose share is the largest: sequences that all data ranks could have in its time. */
static double places (const wb_trainer_t *t) { return (double) t->topo->dp * (double) t->micros * (double) t->o.B; }

static void report_shares (const wb_trainer_t *t) {
    const int64_t batch = t->o.global_batch, most = wb_split_count (batch, t->topo->dp, 0),
                  least = wb_split_count (batch, t->topo->dp, t->topo->dp - 1);
    if (most == least && places (t) <= (double) batch) return;
    wb_info ("  shares      %lld%s of %lld sequences a data rank; %.1f %% of the places in micro-batches are empty or "
             "waited for",
             (long long) most, most > least ? " or one fewer" : "", (long long) batch,
             100 * (1 - (double) batch / places (t)));
}

static void report_tuning (const wb_run_t *r) {
    const wb_trainer_t *t = r->trainer;
    char a[32], b[32];
    if (t->params->learn == t->params->total) return;
    const wb_tuning_t *tune = &t->o.tuning;
    char what[160] = "all layers", which[64] = "";
    if (tune->layers > 0)
        snprintf (what, sizeof what, "the last %lld of %lld layers", (long long) tune->layers, (long long) t->o.size.L);
    if (tune->rank > 0)
        snprintf (which, sizeof which, "adapters of rank %lld, alpha %g, in ", (long long) tune->rank, tune->alpha);
    wb_info ("  finetune    %s%s: %s of %s parameters learn", which, what, wb_format_count (a, t->params->learn),
             wb_format_count (b, t->params->total));
}

wb_status wb_run_summary (wb_run_t *r) {
    const wb_trainer_t *t = r->trainer;
    const wb_topo_t *g = r->topo;
    const wb_config_t *c = r->config;
    const wb_size_t *s = &t->o.size;
    char n[32], sec[32];
    double peak = wb_run_measure_peak (r), flops, speed;
    char products[WB_ERROR_TEXT];
    wb_run_choose_products (r, products);
    wb_info ("wabun %s: %s", PACKAGE_VERSION, c->run.dir);
    report_machine (r, peak, products);
    wb_info ("  grid        data %d x pipeline %d x tensor %d; micro-batch %lld, %d a step and rank%s; optimizer %s%s",
             g->dp, g->pp, g->tp, (long long) t->o.B, t->micros, t->o.global_batch % g->dp != 0 ? " at most" : "",
             wb_optim_names[c->step.optim.kind], t->o.zero && g->dp > 1 ? ", sharded over the data group" : "");
    report_shares (t);
    if (wb_trainer_muon (t) != NULL) wb_info ("  muon        %s", wb_trainer_muon (t));
    wb_info ("  model       %s parameters: %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld",
             wb_format_count (n, wb_size_parameters (s)), (long long) s->L, (long long) s->C, (long long) s->H,
             (long long) s->T, (long long) s->V);
    report_tuning (r);
    char note[96];
    if (r->base.path != NULL) wb_info ("  base        %s (%s)", r->base.path, wb_run_base_text (note, &r->base));
    report_data (r);
    WB_TRY (report_memory (r));
    report_saving (r);
    char run[WB_ERROR_TEXT];
    if (c->run.sample_every > 0 && g->pp * g->tp > 1)
        wb_warn ("sample.every: no texts are written, for no rank holds the whole model (parallel.pipeline = %d, "
                 "parallel.tensor = %d); wabun generate --model %s/latest writes them from any checkpoint",
                 g->pp, g->tp, wb_shell_quote (run, sizeof run, c->run.dir));
    if (c->run.sample_every > 0 && t->o.tuning.rank > 0)
        wb_warn (
            "sample.every: no texts are written while adapters are trained; wabun generate --model %s/latest writes "
            "them from any checkpoint",
            wb_shell_quote (run, sizeof run, c->run.dir));
    if (c->step.optim.warmup > c->step.optim.steps)
        wb_warn ("train.warmup = %lld is longer than train.steps = %lld: the rate never reaches train.lr",
                 (long long) c->step.optim.warmup, (long long) c->step.optim.steps);
    flops = (double) (c->step.optim.steps - t->step) * places (t) * (double) t->o.T * wb_run_token_flops (r);
    speed = product_speed (r);
    wb_info ("  time        about %s for %lld steps, if they run at 80 %% of the %.0f GFLOP/s a rank of a matrix "
             "product here",
             wb_format_seconds (sec, flops / (0.8e9 * speed * wb_comm_size (r->world))),
             (long long) (c->step.optim.steps - t->step), speed);
    return WB_OK;
}
