/* What a job will take, before it is queued.
 *
 * Everything is computed by the functions the trainer itself allocates by, for ranks that do not exist; the layout is
 * refused with the same words.  Nothing is trained, MPI is not started, token files are not opened.
 *
 * Not here: guesses at time on machines that are not at hand. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "plan/plan_priv.h"

typedef struct plan {
    wb_config_t *config;
    wb_tokenizer_t *tokenizer;
    wb_step_options_t o;
    wb_layout_t lo;
    int ranks, ranks_per_node;
    char *missing_tokenizer; /* owned; NULL: it is there, or none is named */
    bool assumed;            /* the size of the vocabulary */
} plan_t;

/* Ids of gpt2-japanese's vocabulary. */
enum { ASSUMED_VOCABULARY = 20573 };

static const char *bytes (char buf[32], size_t n) { return wb_format_bytes (buf, (double) n); }

static void print_row (const char *name, const wb_memory_t *m) {
    char b[7][32];
    printf ("%-16s %12s %12s %12s %12s %12s %14s %12s\n", name, bytes (b[0], m->parameters), bytes (b[1], m->gradients),
            bytes (b[2], m->optimizer), bytes (b[3], m->activations), bytes (b[4], m->work),
            bytes (b[5], m->communication), bytes (b[6], m->total));
}

static void name_layers (char *name, size_t size, const wb_layout_t *lo) {
    size_t n = (size_t) snprintf (name, size, "%d:", lo->pp_rank);
    for (int c = 0; c < lo->chunks && n < size; c++) {
        int vs = c * lo->pp + lo->pp_rank;
        n += (size_t) snprintf (name + n, size - n, "%s%d-%d", c > 0 ? "," : " ", lo->first[vs], lo->first[vs + 1] - 1);
    }
}

/* A row a stage: tensor rank 0, which has the larger share of a vocabulary that does not divide. */
static wb_status print_memory (plan_t *p) {
    wb_memory_t m;
    size_t max = 0;
    char name[64], b[32], c[32];
    size_t program = wb_trainer_overhead (p->ranks, wb_kern_threads (), p->o.size.C);
    printf ("\n%-16s %12s %12s %12s %12s %12s %14s %12s\n", "stage: layers", "parameters", "gradients", "optimizer",
            "activations", "work", "communication", "total");
    for (int s = 0; s < p->lo.pp; s++) {
        p->lo.pp_rank = s;
        WB_TRY (wb_trainer_memory (&m, &p->o, &p->lo));
        name_layers (name, sizeof name, &p->lo);
        print_row (name, &m);
        if (m.total > max) max = m.total;
    }
    p->lo.pp_rank = 0;
    printf ("\nThe most a rank takes: %s, %s of it for program, MPI and BLAS.\n", bytes (b, max + program),
            bytes (c, program));
    return WB_OK;
}

static wb_status print_pipeline (const plan_t *p) {
    double idle;
    bool exact;
    printf ("Micro-batches a rank and step: %d of %lld sequences.\n", wb_step_micro_batches (&p->o, p->lo.dp),
            (long long) p->o.B);
    if (p->lo.pp == 1) return WB_OK;
    WB_TRY (wb_plan_idle (&idle, &exact, &p->o, &p->lo));
    printf ("Pipeline: %d stages, %d %s a rank; idle share %s %.1f %% where stages cost the same.\n", p->lo.pp,
            p->lo.chunks, p->lo.chunks == 1 ? "chunk" : "chunks", exact ? "=" : "<=", 100 * idle);
    return WB_OK;
}

/* A row a stage, of tensor rank 0. */
static wb_status print_traffic (plan_t *p) {
    printf ("\nA rank sends over the network in a step, with %d %s on a node:\n", p->ranks_per_node,
            p->ranks_per_node == 1 ? "rank" : "ranks");
    printf ("%-16s %12s %12s %12s %12s %12s %12s %12s\n", "stage: layers", "gradients", "weights", "embedding",
            "tensor", "pipeline", "Muon", "total");
    for (int s = 0; s < p->lo.pp; s++) {
        wb_traffic_t t;
        char name[64], b[7][32];
        p->lo.pp_rank = s;
        WB_TRY (wb_plan_traffic (&t, &p->o, &p->lo, p->ranks_per_node));
        name_layers (name, sizeof name, &p->lo);
        const double values[] = {t.gradients, t.weights, t.tied, t.tensor, t.pipeline, t.muon, t.total};
        for (int i = 0; i < 7; i++) wb_format_bytes (b[i], values[i]);
        printf ("%-16s %12s %12s %12s %12s %12s %12s %12s\n", name, b[0], b[1], b[2], b[3], b[4], b[5], b[6]);
    }
    p->lo.pp_rank = 0;
    return WB_OK;
}

static wb_status grid (plan_t *p) {
    const wb_parallel_options_t *c = &p->config->parallel;
    int64_t model = (int64_t) c->pipeline * c->tensor, dp = c->data > 0 ? c->data : p->ranks / model;
    if (p->ranks > 0 && (dp < 1 || dp * model != p->ranks))
        return WB_FAIL (
            WB_EUSAGE,
            "parallel: %d ranks are not data %lld x pipeline %lld x tensor %lld: set parallel.data = 0 and --ranks to "
            "a multiple of %lld",
            p->ranks, (long long) (dp < 1 ? 1 : dp), (long long) c->pipeline, (long long) c->tensor, (long long) model);
    if (dp < 1) dp = 1;
    p->ranks = (int) (dp * model);
    WB_TRY (wb_trainer_choose_micro_batch (&p->o, (int) dp, c->pipeline, c->tensor, wb_kern_threads (), INFINITY));
    return wb_trainer_layout (&p->lo, &p->o, (int) dp, c->pipeline, c->tensor);
}

/* A vocabulary that is not here yet does not stop a plan: its size is that of the model, or assumed.  One that is here
 * and damaged does. */
static void assume_vocabulary (plan_t *p) {
    wb_config_t *c = p->config;
    if (c->tokenizer == NULL || wb_tokenizer_probe (c->tokenizer) || wb_file_exists (c->tokenizer)) return;
    p->missing_tokenizer = c->tokenizer;
    c->tokenizer = NULL;
    p->assumed = c->model.size.V == 0 && c->model.base == NULL;
    if (p->assumed) c->model.size.V = ASSUMED_VOCABULARY;
}

static void print_vocabulary (const plan_t *p) {
    char n[32];
    if (p->missing_tokenizer == NULL) return;
    printf ("The tokenizer %s does not exist: planned with %s ids, %s\n", p->missing_tokenizer,
            wb_format_count (n, p->o.size.V),
            p->assumed ? "those of gpt2-japanese's vocabulary (assumed)" : "as the model says");
}

static wb_status run (plan_t *p) {
    const wb_size_t *s = &p->o.size;
    wb_size_t size;
    char n[2][32];
    assume_vocabulary (p);
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
    print_vocabulary (p);
    WB_TRY (print_memory (p));
    WB_TRY (print_pipeline (p));
    return print_traffic (p);
}

wb_status wb_plan (const wb_plan_args_t *a) {
    plan_t p = {0};
    WB_TRY (wb_config_new (&p.config, a->config, a->sets, a->nsets));
    const int threads = (int) (a->threads > 0 ? a->threads : p.config->parallel.threads);
    if (threads > 0) wb_kern_threads_set (threads); /* work space of the attention is by thread */
    p.ranks = (int) a->ranks;
    p.ranks_per_node = a->ranks_per_node > 0 ? (int) a->ranks_per_node : 1;
    wb_status status = run (&p);
    if (p.tokenizer != NULL) wb_tokenizer_destroy (p.tokenizer);
    wb_free (p.missing_tokenizer);
    wb_config_destroy (p.config);
    return status;
}
