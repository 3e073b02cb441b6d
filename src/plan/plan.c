/* What a job will take, before it is queued.
 *
 * Everything is computed by the functions the trainer itself allocates by, for ranks that do not exist; the layout is
 * refused with the same words.  Nothing is trained, MPI is not started, token files are not opened.
 *
 * Not here: guesses at time on machines that are not at hand. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/plan.h"

typedef struct plan {
    wb_config_t *config;
    wb_tokenizer_t *tokenizer;
    wb_step_options_t o;
    wb_layout_t lo;
    int ranks;
} plan_t;

static const char *bytes (char buf[32], size_t n) { return wb_format_bytes (buf, (double) n); }

static void print_row (const char *name, const wb_memory_t *m) {
    char b[7][32];

    printf ("%-16s %12s %12s %12s %12s %12s %14s %12s\n", name, bytes (b[0], m->parameters), bytes (b[1], m->gradients),
            bytes (b[2], m->optimizer), bytes (b[3], m->activations), bytes (b[4], m->work),
            bytes (b[5], m->communication), bytes (b[6], m->total));
}

static void name_layers (char *name, size_t size, const wb_layout_t *lo) {
    size_t n = (size_t) snprintf (name, size, "%d:", lo->pp_rank);

    for (int c = 0; c < lo->chunks && n < size; ++c) {
        int vs = c * lo->pp + lo->pp_rank;
        n += (size_t) snprintf (name + n, size - n, "%s%d-%d", c > 0 ? "," : " ", lo->first[vs], lo->first[vs + 1] - 1);
    }
}

/* A row a stage: tensor rank 0, which has the larger share of a vocabulary that does not divide. */
static wb_status print_memory (plan_t *p) {
    wb_memory_t m;
    size_t most = 0;
    char name[64], b[32], c[32];
    size_t program = wb_trainer_overhead (p->ranks, wb_kern_threads (), p->o.size.C);

    printf ("\n%-16s %12s %12s %12s %12s %12s %14s %12s\n", "stage: layers", "parameters", "gradients", "optimizer",
            "activations", "work", "communication", "total");
    for (int s = 0; s < p->lo.pp; ++s) {
        p->lo.pp_rank = s;
        WB_TRY (wb_trainer_memory (&m, &p->o, &p->lo));
        name_layers (name, sizeof name, &p->lo);
        print_row (name, &m);
        if (m.total > most) most = m.total;
    }
    p->lo.pp_rank = 0;
    printf ("\nThe most a rank takes: %s, %s of it for program, MPI and BLAS.\n", bytes (b, most + program),
            bytes (c, program));
    return WB_OK;
}

/* Share of a step in which pipeline rank p waits, every forward taking 1 and every backward 2 in each of v chunks. */
static void print_pipeline (const plan_t *p) {
    int P = p->lo.pp, v = p->lo.chunks, M = wb_step_micro_batches (&p->o, p->lo.dp);

    printf ("Micro-batches a rank and step: %d of %lld sequences.\n", M, (long long) p->o.B);
    if (P > 1)
        printf ("Pipeline: %d stages, %d chunks a rank; idle share (P - 1) / (v M + P - 1) = %.1f %% where stages cost "
                "the same.\n",
                P, v, 100.0 * (P - 1) / (v * M + P - 1));
}

/* Bytes one rank sends in a step. */
static wb_status print_traffic (plan_t *p) {
    const wb_layout_t *lo = &p->lo;
    int M = wb_step_micro_batches (&p->o, lo->dp), D = lo->dp, T = lo->tp;
    double act = 4.0 * (double) (p->o.B * p->o.T * p->o.size.C), layers = (double) p->o.size.L / lo->pp, grad, weights,
           tensor, pipe;
    wb_params_t *params;
    char b[3][32];

    WB_TRY (wb_params_new (&params, &p->o.size, lo));
    grad = 4.0 * (double) params->own * (D - 1) / D * (p->o.wire == WB_WIRE_BF16 ? 0.5 : 1);
    weights = 4.0 * (double) params->own * (D - 1) / D;
    if (!p->o.zero) weights = grad;
    wb_params_destroy (params);
    tensor = T > 1 ? M * layers * 4 * 2.0 * (T - 1) / T * act : 0; /* two sums forward, two backward, in each layer */
    pipe = lo->pp > 1 ? 2.0 * M * lo->chunks * act / (p->o.sequence ? T : 1) : 0;
    printf (
        "A rank of stage 0 sends in a step: gradients and weights %s, tensor group about %s, pipeline at most %s.\n",
        wb_format_bytes (b[0], grad + weights), wb_format_bytes (b[1], tensor), wb_format_bytes (b[2], pipe));
    return WB_OK;
}

static wb_status grid (plan_t *p) {
    const wb_parallel_options_t *c = &p->config->parallel;
    int64_t model = (int64_t) c->pipeline * c->tensor, D = c->data > 0 ? c->data : p->ranks / model;

    if (p->ranks > 0 && (D < 1 || D * model != p->ranks))
        return WB_FAIL (
            WB_EUSAGE,
            "parallel: %d ranks are not data %lld x pipeline %lld x tensor %lld: set parallel.data = 0 and --ranks to "
            "a multiple of %lld",
            p->ranks, (long long) (D < 1 ? 1 : D), (long long) c->pipeline, (long long) c->tensor, (long long) model);
    if (D < 1) D = 1;
    p->ranks = (int) (D * model);
    WB_TRY (wb_trainer_choose_micro_batch (&p->o, (int) D, c->pipeline, c->tensor, wb_kern_threads (), INFINITY));
    return wb_trainer_layout (&p->lo, &p->o, (int) D, c->pipeline, c->tensor);
}

static wb_status run (plan_t *p) {
    const wb_size_t *s = &p->o.size;
    wb_size_t size;
    char n[2][32];

    WB_TRY (wb_config_size (&size, &p->tokenizer, p->config));
    wb_config_step_options (&p->o, p->config, &size);
    WB_TRY (grid (p));
    printf ("%s on %d %s: data %d x pipeline %d x tensor %d, %d %s a rank\n", p->config->path, p->ranks,
            p->ranks == 1 ? "rank" : "ranks", p->lo.dp, p->lo.pp, p->lo.tp, wb_kern_threads (),
            wb_kern_threads () == 1 ? "thread" : "threads");
    printf ("%s parameters: %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld\n",
            wb_format_count (n[0], wb_size_parameters (s)), (long long) s->L, (long long) s->C, (long long) s->H,
            (long long) s->T, (long long) s->V);
    printf ("%s tokens a step, %.4g GFLOP a token, %.4g PFLOP for %lld steps\n",
            wb_format_count (n[1], p->o.global_batch * p->o.T), wb_size_flops (s, p->o.T) / 1e9,
            wb_size_flops (s, p->o.T) * (double) p->o.global_batch * (double) p->o.T *
                (double) p->config->step.optim.steps / 1e15,
            (long long) p->config->step.optim.steps);
    WB_TRY (print_memory (p));
    print_pipeline (p);
    return print_traffic (p);
}

wb_status wb_plan (const wb_plan_args_t *a) {
    plan_t p = {0};
    WB_TRY (wb_config_new (&p.config, a->config, a->sets, a->nsets));
    const int threads = (int) (a->threads > 0 ? a->threads : p.config->parallel.threads);
    if (threads > 0) wb_kern_threads_set (threads); /* work space of the attention is by thread */
    p.ranks = (int) a->ranks;
    wb_status status = run (&p);
    if (p.tokenizer != NULL) wb_tokenizer_destroy (p.tokenizer);
    wb_config_destroy (p.config);
    return status;
}
