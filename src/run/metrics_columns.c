/* What a run reports while it trains: progress, metrics, samples of text.
 *
 * A record is an array of named values made in one place; a column of metrics.jsonl is one row of it.
 *
 * Not done here: where records go, and what happens when they cannot be written (report). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "run/run_priv.h"

#define COUNT(a) ((int) (sizeof (a) / sizeof *(a)))

static wb_status open_metrics (wb_run_t *r) {
    const wb_run_options_t *o = &r->config->run;
    return wb_metrics_open (&r->log.metrics,
                            &(wb_metrics_to_t){o->dir, r->trainer->step, o->tensorboard, o->openmetrics});
}

wb_status wb_run_log_open (wb_run_t *r) {
    wb_status status = WB_OK;
    r->log.ranks = wb_calloc ((size_t) wb_comm_size (r->world), sizeof *r->log.ranks);
    if (r->log.ranks == NULL) status = WB_NOMEM ("the times of the ranks");
    if (wb_comm_rank (r->world) == 0 && status == WB_OK) status = open_metrics (r);
    return wb_agree (r->world, status);
}

void wb_run_log_close (wb_run_t *r) {
    wb_metrics_close (r->log.metrics);
    wb_free (r->log.ranks);
    r->log = (wb_run_log_t){0};
}

wb_status wb_run_log_back (wb_run_t *r) {
    wb_status status = WB_OK;
    if (r->log.ranks == NULL) return WB_OK;
    if (wb_comm_rank (r->world) == 0) {
        wb_metrics_close (r->log.metrics);
        r->log.metrics = NULL;
        status = open_metrics (r);
    }
    return wb_agree (r->world, status);
}

static void write_record (wb_run_t *r, wb_metrics_kind kind, const wb_value_t *values, int n) {
    wb_metrics_write (r->log.metrics, &(wb_metrics_row_t){kind, r->trainer->step, values, n});
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* Values marked `largest` become the largest of all ranks.  Collective over world. */
static void reduce (wb_run_t *r, wb_value_t *row, int n) {
    double x[64];
    int used = 0;
    for (int i = 0; i < n; i++)
        if (row[i].largest) x[used++] = row[i].x[0];
    WB_ASSERT (used <= COUNT (x));
    wb_comm_max_f64 (r->world, x, used);
    used = 0;
    for (int i = 0; i < n; i++)
        if (row[i].largest) row[i].x[0] = x[used++];
}

/* THE columns of a logged step, one a line.  Collective over world. */
static void write_step (wb_run_t *r, const wb_step_result_t *s, const wb_rank_times_t *t) {
    const wb_progress_t *p = &r->log.progress;
    char slowest[96];
    snprintf (slowest, sizeof slowest, "%d@%s", t->slowest, t->host);
    wb_value_t row[] = {
        {"step", .x = {(double) p->step}},
        {"tokens", .x = {r->tokens}},
        {"loss", 9, .x = {s->loss}},
        {"lr", 9, .x = {s->lr}},
        {"grad_norm", 9, .x = {s->grad_norm}},
        {"tokens_per_s", 6, .x = {p->tokens_per_s}},
        {"mfu", 4, .x = {p->mfu}},
        {"seconds.data", 4, .x = {s->t_data}, .largest = true},
        {"seconds.forward", 4, .x = {s->t_forward}, .largest = true},
        {"seconds.backward", 4, .x = {s->t_backward}, .largest = true},
        {"seconds.wait", 4, .x = {s->t_wait}, .largest = true},
        {"seconds.sync", 4, .x = {s->t_sync}, .largest = true},
        {"seconds.update", 4, .x = {s->t_update}, .largest = true},
        {"seconds.need", 4, .x = {s->t_need}, .largest = true},
        {"seconds.total", 4, .x = {s->t_total}, .largest = true},
        {"ranks.compute", 4, .x = {t->compute[0], t->compute[1], t->compute[2]}, .n = 3},
        {"ranks.waiting", 4, .x = {t->waiting[0], t->waiting[1], t->waiting[2]}, .n = 3},
        {"ranks.exposed", 4, .x = {t->exposed}},
        {"ranks.hidden", 3, .x = {t->hidden}},
        {"ranks.slowest", .text = slowest},
        {"memory", .x = {(double) wb_mem_rss_peak ()}, .largest = true},
    };
    reduce (r, row, COUNT (row));
    write_record (r, WB_METRICS_STEP, row, COUNT (row));
}

static void log_muon (wb_run_t *r, const wb_step_result_t *s) {
    const wb_progress_t *p = &r->log.progress;
    wb_info ("step %lld/%lld  singular values of an update %.3f to %.3f, %.3f from 1", (long long) p->step,
             (long long) p->steps, s->muon_min, s->muon_max, s->muon_rms);
    const wb_value_t row[] = {
        {"step", .x = {(double) p->step}},     {"tokens", .x = {r->tokens}},
        {"muon.least", 6, .x = {s->muon_min}}, {"muon.most", 6, .x = {s->muon_max}},
        {"muon.rms", 6, .x = {s->muon_rms}},
    };
    write_record (r, WB_METRICS_MUON, row, COUNT (row));
}

/* Rank 0: a rank that stays slow; its host is that of this step, in which it is the slowest. */
static void report_slow_rank (wb_run_t *r, const wb_rank_times_t *t, double step) {
    const wb_slow_summary_t *s = &r->log.slow.news;
    const wb_slow_look_t look = {t->slowest, t->pace[2], t->pace[1], step};
    int ranks = wb_comm_size (r->world);
    if (ranks < 2) return;
    switch (wb_slow_rank_add (&r->log.slow, wb_now (), &look)) {
    case WB_SLOW_RANK:
        wb_warn (
            "rank %d on %s stays slow: in %d of the last %d looks it computed %.3g s a step, %s %.3g s; the others "
            "wait for it, which costs %.3g s a step (%.0f %%)",
            s->rank, t->host, s->looks, WB_SLOW_LOOKS, s->seconds, ranks == 2 ? "the other rank" : "the median rank",
            s->typical, s->cost, 100 * s->share);
        break;
    case WB_SLOW_OVER: wb_info ("rank %d is not slower than the others any more", s->rank); break;
    case WB_SLOW_NOTHING: break;
    }
}

/* How many multiples of `every` are to come, the last step included. */
static double to_come (int64_t every, int64_t step, int64_t steps) {
    if (step >= steps) return 0;
    return (every > 0 ? (double) (steps / every - step / every) : 0) + (every == 0 || steps % every != 0 ? 1 : 0);
}

/* The numbers of the progress line after a step. */
static void update_progress (wb_run_t *r, const wb_step_result_t *s) {
    wb_progress_t *p = &r->log.progress;
    const wb_trainer_t *t = r->trainer;
    wb_progress_add (p, s->t_total);
    p->step = t->step;
    p->steps = r->config->step.optim.steps;
    p->beside = to_come (r->config->run.checkpoint_every, p->step, p->steps) * r->log.save +
                to_come (r->config->run.validation_every, p->step, p->steps) * r->log.validation;
    p->loss = s->loss;
    p->lr = s->lr;
    p->grad_norm = s->grad_norm;
    p->tokens_per_s = (double) t->o.global_batch * (double) t->o.T / p->seconds;
    p->mfu = p->tokens_per_s * wb_run_token_flops (r) / (r->limits.peak * 1e9);
}

/* An MFU above 1 means that another program ran when the peak was measured: measure again.  Collective over world. */
static void check_peak (wb_run_t *r) {
    wb_progress_t *p = &r->log.progress;
    double beyond = p->mfu > 1;
    wb_comm_max_f64 (r->world, &beyond, 1);
    if (beyond <= 0) return;
    wb_run_measure_peak (r);
    p->mfu = p->tokens_per_s * wb_run_token_flops (r) / (r->limits.peak * 1e9);
}

void wb_run_log_step (wb_run_t *r, const wb_step_result_t *s) {
    wb_progress_t *p = &r->log.progress;
    wb_doing_set (WB_DOING_LOG);
    update_progress (r, s);
    wb_progress_show (p);
    if (s->muon_max > 0) log_muon (r, s);
    if (p->step % r->config->run.log_every != 0 && p->step != r->first + 1 && p->step != p->steps) return;
    wb_rank_times_t times;
    wb_rank_times (&times, r->log.ranks, r->world, s);
    check_peak (r);
    wb_progress_line (p);
    if (wb_comm_rank (r->world) == 0) report_slow_rank (r, &times, s->t_total);
    write_step (r, s, &times);
}

void wb_run_log_health (wb_run_t *r, const wb_step_result_t *s, int64_t step, const char *kind, const char *windows) {
    const wb_spike_verdict_t none = {0}, *v = s->bad ? &none : &r->verdict;
    const wb_value_t row[] = {
        {"step", .x = {(double) step}},
        {"tokens", .x = {r->tokens}},
        {"health.event", .text = kind},
        {"health.skipped", .x = {s->bad || s->held}},
        {"health.of_loss", 9, .x = {s->loss}},
        {"health.of_grad_norm", 9, .x = {s->grad_norm}},
        {"health.z", 4, .x = {v->z[WB_SPIKE_LOSS], v->z[WB_SPIKE_NORM]}, .n = 2},
        {"health.windows", .text = windows},
    };
    wb_metrics_write (r->log.metrics, &(wb_metrics_row_t){WB_METRICS_HEALTH, step, row, COUNT (row)});
}

/* ---- beside steps ------------------------------------------------------------------------------------------------ */

void wb_run_log_valid (wb_run_t *r, double loss_sum, double tokens, double seconds) {
    double loss = loss_sum / tokens, bpb = r->data.valid_bytes > 0 ? loss_sum / log (2.0) / r->data.valid_bytes : 0;
    char time[32], bits[64] = "";
    r->log.validation = seconds;
    if (bpb > 0) snprintf (bits, sizeof bits, "  %.4f bits per byte", bpb);
    wb_info ("step %lld/%lld  validation loss %.4f%s  (%s)", (long long) r->trainer->step,
             (long long) r->config->step.optim.steps, loss, bits, wb_format_seconds (time, seconds));
    wb_value_t row[5] = {{"step", .x = {(double) r->trainer->step}}, {"tokens", .x = {r->tokens}}};
    int n = 2;
    row[n++] = (wb_value_t){"val_loss", 9, .x = {loss}};
    if (bpb > 0) row[n++] = (wb_value_t){"val_bpb", 9, .x = {bpb}};
    row[n++] = (wb_value_t){"seconds.validation", 4, .x = {seconds}};
    write_record (r, WB_METRICS_VALIDATION, row, n);
}

void wb_run_log_save (wb_run_t *r) {
    const wb_run_saving_t *s = &r->saving;
    const double seconds = wb_now () - s->began, bytes = s->bytes;
    const wb_value_t row[] = {
        {"step", .x = {(double) s->step}},   {"tokens", .x = {s->tokens}},
        {"save.seconds", 4, .x = {seconds}}, {"save.blocked", 4, .x = {s->blocked}},
        {"save.bytes", .x = {bytes}},        {"save.mb_per_s", 4, .x = {seconds > 0 ? bytes / 1e6 / seconds : 0}}};
    r->log.save = s->blocked;
    write_record (r, WB_METRICS_SAVE, row, COUNT (row));
}

void wb_run_log_no_sample (wb_run_t *r) {
    if (!r->log.no_sample)
        wb_warn ("step %lld/%lld: no text was written (%s); the run goes on, the next is due in %lld steps",
                 (long long) r->trainer->step, (long long) r->config->step.optim.steps, wb_error_get ()->text,
                 (long long) r->config->run.sample_every);
    r->log.no_sample = true;
    wb_error_clear ();
}

void wb_run_log_sample (wb_run_t *r, const char *text) {
    const char *context = r->config->run.sample_context;
    const bool begun = context != NULL && context[0] != 0;
    r->log.no_sample = false;
    wb_info ("step %lld/%lld  it writes%s%s%s: %s", (long long) r->trainer->step,
             (long long) r->config->step.optim.steps, begun ? " after \"" : "", begun ? context : "", begun ? "\"" : "",
             text);
    const wb_value_t row[] = {{"step", .x = {(double) r->trainer->step}}, {"text", .text = text}};
    write_record (r, WB_METRICS_SAMPLE, row, COUNT (row));
}
