/* What a person sees of a run, and metrics.jsonl.
 *
 * Start-up report: everything that decides speed, memory and result, before the first step.  Then one line that
 * replaces itself on a terminal, or a plain line each log interval.  metrics.jsonl gets one object a logged step and
 * one a validation; it is appended to when a run goes on, after lines of steps beyond the resumed one have been
 * dropped. */
#include "config.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/run_priv.h"

/* ---- start-up report --------------------------------------------------------------------------------------------- */

static double per_token_flops (const wb_run_t *r) { return wb_size_flops (&r->trainer->o.size, r->trainer->o.T); }

/* Collective over world. */
static void report_machine (const wb_run_t *r, double peak) {
    wb_blas_info_t blas;
    const wb_topo_t *g = r->topo;
    int ranks = wb_comm_size (r->world);
    const char *bind = getenv ("OMP_PROC_BIND");

    wb_blas_info (&blas);
    int64_t slow = blas.want != NULL;
    wb_info ("  machine     %s; %d %s on %d %s (%s)", wb_cpu_name (), ranks, ranks == 1 ? "rank" : "ranks", g->nodes,
             g->nodes == 1 ? "node" : "nodes", wb_comm_library ());
    wb_info ("  threads     %d a rank, %d cores in the mask of rank 0, OMP_PROC_BIND %s", r->threads, wb_cpu_cores (),
             bind != NULL ? bind : "not set");
    wb_info ("  BLAS        %s; %s; core type %s%s", blas.config, blas.threading, blas.core, wb_retuned_note ());
    wb_info ("  products    %s", wb_gemm_library_get () == WB_GEMM_ONEDNN ? "oneDNN" : "BLAS");
    wb_info ("  kernels     %s; %.0f GFLOP/s peak of fused multiply-adds on rank 0, measured", r->trainer->kern->name,
             peak);
    wb_comm_sum_i64 (r->world, &slow, 1);
    if (blas.want == NULL && slow > 0) /* what is wrong on rank 0 has been said before MPI started */
        wb_warn ("the BLAS of %lld of %d ranks runs slower kernels than their processors could: set OPENBLAS_CORETYPE "
                 "on their nodes",
                 (long long) slow, ranks);
    if (strcmp (blas.threading, "pthreads") == 0 && r->threads > 1)
        wb_warn ("this OpenBLAS is the pthreads build, which disturbs OpenMP: install the OpenMP build "
                 "(libopenblas0-openmp)");
}

double wb_run_mapped (void) {
    FILE *f = fopen ("/proc/self/status", "re");
    char line[128];
    double KiB = 0;

    if (f == NULL) return 0;
    while (fgets (line, sizeof line, f) != NULL)
        if (sscanf (line, "RssFile: %lf", &KiB) == 1) break;
    fclose (f);
    return KiB * 1024;
}

/* Pages of token files are no need of the run's: the system takes them back when it wants them. */
static double peak_memory (const wb_run_t *r) {
    double files = wb_run_mapped () - r->mapped;

    return (double) wb_mem_rss_peak () - (files > 0 ? files : 0);
}

void wb_run_log_memory (wb_run_t *r) {
    double peak = peak_memory (r);
    char a[32], b[32];

    wb_comm_max_f64 (r->world, &peak, 1);
    wb_info ("peak memory %s a rank at most, %s planned", wb_format_bytes (a, peak), wb_format_bytes (b, r->planned));
}

static wb_status report_memory (wb_run_t *r) {
    wb_memory_t m;
    double v[8];
    char b[8][32];

    WB_TRY (wb_agree (r->world, wb_trainer_memory (&m, &r->trainer->o, &r->trainer->layout)));
    v[7] = (double) wb_trainer_overhead (wb_comm_size (r->world), r->threads, r->trainer->o.size.C);
    v[0] = (double) m.total + v[7];
    v[1] = (double) m.parameters;
    v[2] = (double) m.gradients;
    v[3] = (double) m.optimizer;
    v[4] = (double) m.activations;
    v[5] = (double) m.work;
    v[6] = (double) m.communication;
    wb_comm_max_f64 (r->world, v, 8);
    r->planned = v[0];
    for (int i = 0; i < 8; ++i) wb_format_bytes (b[i], v[i]);
    wb_info ("  memory      %s a rank at most: parameters %s, gradients %s, optimizer %s, activations %s, work %s, "
             "communication %s, program about %s",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
    return WB_OK;
}

static void report_data (const wb_run_t *r) {
    const wb_run_data_t *d = &r->data;
    const wb_trainer_t *t = r->trainer;
    double batch = (double) t->o.global_batch * (double) t->o.T, all = 0, total = batch * (double) r->config->steps;
    char n[32], m[32], k[32];

    for (int i = 0; i < d->nfiles; ++i) all += (double) wb_tokens_count (d->files[i]);
    wb_info ("  data        %s tokens in %d %s%s%s; %s a step (%lld sequences of %lld), %s in %lld steps = %.2f epochs",
             wb_format_count (n, (int64_t) all), d->nfiles, d->nfiles == 1 ? "file" : "files",
             d->tokenizer != NULL ? ", tokenizer " : "", d->tokenizer != NULL ? wb_tokenizer_kind (d->tokenizer) : "",
             wb_format_count (m, (int64_t) batch), (long long) t->o.global_batch, (long long) t->o.T,
             wb_format_count (k, (int64_t) total), (long long) r->config->steps, total / all);
    if (d->valid != NULL)
        wb_info ("  validation  %s of %s windows of %s, every %lld steps", wb_format_count (n, d->valid_samples),
                 wb_format_count (m, wb_loader_windows (d->valid)), wb_tokens_path (d->valid_file),
                 (long long) r->config->valid_every);
    else
        wb_info ("  validation  none (data.validation is not given)");
}

/* GFLOP/s of a product of the model's widest linear, on all ranks at once, the slowest one's.  Weights and gradients
 * serve as its matrices: the first step clears the gradients. */
static double product_speed (const wb_run_t *r) {
    const wb_trainer_t *t = r->trainer;
    int64_t C = t->o.size.C, m = t->o.B * t->o.T, most = t->params->own / (4 * C), done = 0;
    double start, speed;

    if (m > most) m = most;
    wb_gemm (t->grads, t->weights, t->weights, m, 4 * C, C, 4 * C, C, 4 * C, false, false, 1,
             0); /* the first is slow */
    wb_comm_barrier (r->world);
    start = wb_now ();
    for (; done < 2 || wb_now () - start < 0.05; ++done)
        wb_gemm (t->grads, t->weights, t->weights, m, 4 * C, C, 4 * C, C, 4 * C, false, false, 1, 0);
    speed = (double) done * 8.0 * (double) (m * C * C) / (wb_now () - start) / 1e9;
    wb_comm_min_f64 (r->world, &speed, 1);
    return speed;
}

/* Peak of this rank while all of them measure, GFLOP/s; r->peak, that of all, never sinks: what keeps a processor busy
 * can only make it look slower than it is.  Collective over world. */
static double measure_peak (wb_run_t *r) {
    double threads[1] = {(double) r->threads}, peak;

    wb_comm_barrier (r->world);
    peak = wb_kern_fma_peak (r->threads, 0.05);
    wb_comm_sum_f64 (r->world, threads, 1);
    r->peak = fmax (r->peak, peak * threads[0] / r->threads);
    return peak;
}

wb_status wb_run_report (wb_run_t *r) {
    const wb_trainer_t *t = r->trainer;
    const wb_topo_t *g = r->topo;
    const wb_config_t *c = r->config;
    const wb_size_t *s = &t->o.size;
    char n[32], sec[32];
    double peak = measure_peak (r), flops, speed;

    wb_info ("wabun %s: %s", PACKAGE_VERSION, c->run);
    report_machine (r, peak);
    wb_info ("  grid        data %d x pipeline %d x tensor %d; micro-batch %lld, %d a step and rank; optimizer %s%s",
             g->dp, g->pp, g->tp, (long long) t->o.B, t->micros, c->optimizer,
             t->o.zero && g->dp > 1 ? ", sharded over the data group" : "");
    if (wb_trainer_muon (t) != NULL) wb_info ("  muon        %s", wb_trainer_muon (t));
    wb_info ("  model       %s parameters: %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld",
             wb_format_count (n, wb_size_parameters (s)), (long long) s->L, (long long) s->C, (long long) s->H,
             (long long) s->T, (long long) s->V);
    report_data (r);
    WB_TRY (report_memory (r));
    char run[WB_ERROR_TEXT];
    if (c->sample_every > 0 && g->pp * g->tp > 1)
        wb_warn ("sample.every: no texts are written, for no rank holds the whole model (parallel.pipeline = %d, "
                 "parallel.tensor = %d); wabun generate --model %s/latest writes them from any checkpoint",
                 g->pp, g->tp, wb_shell_quote (run, sizeof run, c->run));
    if (c->warmup > c->steps)
        wb_warn ("train.warmup = %lld is longer than train.steps = %lld: the rate never reaches train.lr",
                 (long long) c->warmup, (long long) c->steps);
    flops = (double) (c->steps - t->step) * (double) t->o.global_batch * (double) t->o.T * per_token_flops (r);
    speed = product_speed (r);
    wb_info ("  time        about %s for %lld steps, if they run at 80 %% of the %.0f GFLOP/s a rank of a matrix "
             "product here",
             wb_format_seconds (sec, flops / (0.8e9 * speed * wb_comm_size (r->world))),
             (long long) (c->steps - t->step), speed);
    return WB_OK;
}

/* ---- metrics.jsonl ----------------------------------------------------------------------------------------------- */

/* Keep the lines of steps up to `step`, none where nothing was resumed; a last line that was cut off goes too. */
static wb_status trim_metrics (const char *path, int64_t step) {
    char *text, *to, *line, *end;
    size_t bytes;
    wb_status status;

    WB_TRY (wb_file_read (&text, &bytes, path));
    to = text;
    for (line = text; line < text + bytes; line = end) {
        json_t *j;
        end = memchr (line, '\n', (size_t) (text + bytes - line));
        if (end == NULL) break;
        ++end;
        j = json_loadb (line, (size_t) (end - line), 0, NULL);
        if (j != NULL && step > 0 && json_integer_value (json_object_get (j, "step")) <= step) {
            memmove (to, line, (size_t) (end - line));
            to += end - line;
        }
        json_decref (j);
    }
    status = to < text + bytes ? wb_file_write (path, text, (size_t) (to - text)) : WB_OK;
    wb_free (text);
    return status;
}

wb_status wb_run_metrics_open (wb_run_t *r) {
    wb_status status = WB_OK;

    r->ranks = wb_calloc ((size_t) wb_comm_size (r->world), sizeof *r->ranks);
    if (r->ranks == NULL) status = WB_NOMEM ("the times of the ranks");
    if (wb_comm_rank (r->world) == 0 && status == WB_OK) {
        char *path = wb_format ("%s/metrics.jsonl", r->config->run);
        if (path == NULL) status = WB_FAIL (WB_ENOMEM, "out of memory");
        if (status == WB_OK && wb_file_exists (path)) status = trim_metrics (path, r->trainer->step);
        if (status == WB_OK && (r->metrics = fopen (path, "a")) == NULL)
            status = WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
        wb_free (path);
    }
    return wb_agree (r->world, status);
}

/* A line is through, or was cut off: then no other follows it, for what is behind half a line is lost as well. */
static void flush_metrics (wb_run_t *r) {
    if (fflush (r->metrics) == 0) return;
    wb_warn ("%s/metrics.jsonl: cannot write: %s; no more lines are written there", r->config->run, strerror (errno));
    fclose (r->metrics);
    r->metrics = NULL;
}

/* A rank that computes so many times as long as the median is named. */
#define STRAGGLES 1.2

static double finite_or_0 (double x) { return isfinite (x) ? x : 0; }

void wb_run_log_step (wb_run_t *r, const wb_step_result_t *s) {
    const wb_trainer_t *t = r->trainer;
    double batch = (double) t->o.global_batch * (double) t->o.T, phases[10], speed, mfu, left;
    wb_rank_times_t ranks;
    bool due = t->step % r->config->log_every == 0 || t->step == r->first + 1 || t->step == r->config->steps;
    char time[32], count[32];

    /* the mean over the steps since the last validation or checkpoint would count those: an average that forgets */
    r->loss = s->loss;
    r->step_seconds = r->step_seconds > 0 ? 0.8 * r->step_seconds + 0.2 * s->t_total : s->t_total;
    speed = batch / r->step_seconds;
    mfu = speed * per_token_flops (r) / (r->peak * 1e9);
    left = (double) (r->config->steps - t->step) * r->step_seconds;
    if (wb_now () - r->shown >= 0.1) { /* a terminal far away reads no faster */
        r->shown = wb_now ();
        wb_log_progress ("step %lld/%lld  loss %.4f  %s tokens/s  MFU %.0f %%  %s left", (long long) t->step,
                         (long long) r->config->steps, s->loss, wb_format_count (count, (int64_t) speed), 100 * mfu,
                         wb_format_seconds (time, left));
    }
    if (s->muon_max > 0) {
        wb_info ("step %lld/%lld  singular values of an update %.3f to %.3f, %.3f from 1", (long long) t->step,
                 (long long) r->config->steps, s->muon_min, s->muon_max, s->muon_rms);
        if (r->metrics != NULL) {
            fprintf (r->metrics,
                     "{\"step\": %lld, \"tokens\": %.0f, \"muon\": {\"least\": %.6g, \"most\": %.6g, \"rms\": %.6g}}\n",
                     (long long) t->step, r->tokens, s->muon_min, s->muon_max, s->muon_rms);
            flush_metrics (r);
        }
    }
    if (!due) return;
    phases[0] = s->t_data;
    phases[1] = s->t_forward;
    phases[2] = s->t_backward;
    phases[3] = s->t_sync;
    phases[4] = s->t_update;
    phases[5] = s->t_total;
    phases[6] = peak_memory (r);
    phases[7] = s->t_wait;
    phases[8] = mfu > 1; /* cannot be: something else ran when the peak was measured */
    phases[9] = s->t_need;
    wb_comm_max_f64 (r->world, phases, 10);
    wb_rank_times (&ranks, r->ranks, r->world, s);
    if (phases[8] > 0) {
        measure_peak (r);
        mfu = speed * per_token_flops (r) / (r->peak * 1e9);
    }
    if (!wb_log_is_tty ())
        wb_info ("step %lld/%lld  loss %.4f  lr %.3g  |g| %.3g  %s tokens/s  MFU %.0f %%  %s left", (long long) t->step,
                 (long long) r->config->steps, s->loss, s->lr, s->grad_norm, wb_format_count (count, (int64_t) speed),
                 100 * mfu, wb_format_seconds (time, left));
    if (wb_comm_size (r->world) > 1 && ranks.compute[2] > STRAGGLES * ranks.compute[1])
        wb_info ("step %lld/%lld  rank %d on %s computes %.3g s, %.2f times the median: the others wait for it",
                 (long long) t->step, (long long) r->config->steps, ranks.slowest, ranks.host, ranks.compute[2],
                 ranks.compute[2] / ranks.compute[1]);
    if (r->metrics == NULL) return;
    fprintf (r->metrics,
             "{\"step\": %lld, \"tokens\": %.0f, \"loss\": %.9g, \"lr\": %.9g, \"grad_norm\": %.9g, \"tokens_per_s\": "
             "%.6g, \"mfu\": %.4g, "
             "\"seconds\": {\"data\": %.4g, \"forward\": %.4g, \"backward\": %.4g, \"wait\": %.4g, \"sync\": %.4g, "
             "\"update\": %.4g, "
             "\"need\": %.4g, \"total\": %.4g}, \"ranks\": {\"compute\": [%.4g, %.4g, %.4g], "
             "\"waiting\": [%.4g, %.4g, %.4g], "
             "\"exposed\": %.4g, \"hidden\": %.3g, \"slowest\": \"%d@%s\"}, \"memory\": %.0f}\n",
             (long long) t->step, r->tokens, finite_or_0 (s->loss), s->lr, finite_or_0 (s->grad_norm), speed, mfu,
             phases[0], phases[1], phases[2], phases[7], phases[3], phases[4], phases[9], phases[5], ranks.compute[0],
             ranks.compute[1], ranks.compute[2], ranks.waiting[0], ranks.waiting[1], ranks.waiting[2], ranks.exposed,
             ranks.hidden, ranks.slowest, ranks.host, phases[6]);
    flush_metrics (r);
}

void wb_run_log_valid (wb_run_t *r, double loss_sum, double tokens, double seconds) {
    double loss = loss_sum / tokens, bpb = r->data.valid_bytes > 0 ? loss_sum / log (2.0) / r->data.valid_bytes : 0;
    char time[32], bits[64] = "";

    if (bpb > 0) snprintf (bits, sizeof bits, "  %.4f bits per byte", bpb);
    wb_info ("step %lld/%lld  validation loss %.4f%s  (%s)", (long long) r->trainer->step, (long long) r->config->steps,
             loss, bits, wb_format_seconds (time, seconds));
    if (r->metrics == NULL) return;
    fprintf (r->metrics, "{\"step\": %lld, \"tokens\": %.0f, \"val_loss\": %.9g", (long long) r->trainer->step,
             r->tokens, finite_or_0 (loss));
    if (bpb > 0) fprintf (r->metrics, ", \"val_bpb\": %.9g", finite_or_0 (bpb));
    fprintf (r->metrics, ", \"seconds\": {\"validation\": %.4g}}\n", seconds);
    flush_metrics (r);
}

void wb_run_log_sample (wb_run_t *r, const char *text) {
    char *path;
    FILE *f;

    if (wb_comm_rank (r->world) != 0) return;
    wb_info ("step %lld/%lld  it writes: %s", (long long) r->trainer->step, (long long) r->config->steps, text);
    path = wb_format ("%s/samples.txt", r->config->run);
    f = path != NULL ? fopen (path, "a") : NULL;
    if (f != NULL) {
        fprintf (f, "==== step %lld\n%s\n", (long long) r->trainer->step, text);
        fclose (f);
    }
    wb_free (path);
}
