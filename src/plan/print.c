/* The report of a plan as text. */
#include "config.h"

#include <math.h>

#include "plan/plan_priv.h"

static const char *bytes (char buf[32], double n) { return wb_format_bytes (buf, n); }

static const char *ranks (int n) { return n == 1 ? "rank" : "ranks"; }

/* ---- a table of the stages --------------------------------------------------------------------------------------- */

enum { COLUMNS = 7 };

static void name_layers (char *name, size_t size, const wb_layout_t *lo, int p) {
    size_t n = (size_t) snprintf (name, size, "%d:", p);
    for (int c = 0; c < lo->chunks && n < size; c++) {
        const int stage = c * lo->pp + p;
        n += (size_t) snprintf (name + n, size - n, "%s%d-%d", c > 0 ? "," : " ", lo->first[stage],
                                lo->first[stage + 1] - 1);
    }
}

/* A row a stage, of tensor rank 0, which has the larger share of a vocabulary that does not divide.  Columns of zeros
 * are left out. */
static void print_stages (const wb_plan_t *p, const char *const *heads,
                          void (*values) (double v[COLUMNS], const wb_plan_stage_t *s)) {
    bool shown[COLUMNS] = {false};
    double v[COLUMNS];
    char name[64], b[32];
    for (int s = 0; s < p->lo.pp; s++) {
        values (v, &p->stages[s]);
        for (int i = 0; i < COLUMNS; i++) shown[i] = shown[i] || v[i] > 0;
    }
    printf ("%-16s", "stage: layers");
    for (int i = 0; i < COLUMNS; i++)
        if (shown[i]) printf (" %13s", heads[i]);
    putchar ('\n');
    for (int s = 0; s < p->lo.pp; s++) {
        values (v, &p->stages[s]);
        name_layers (name, sizeof name, &p->lo, s);
        printf ("%-16s", name);
        for (int i = 0; i < COLUMNS; i++)
            if (shown[i]) printf (" %13s", bytes (b, v[i]));
        putchar ('\n');
    }
}

static void memory_values (double v[COLUMNS], const wb_plan_stage_t *s) {
    const wb_memory_t *m = &s->memory;
    const size_t of[COLUMNS] = {m->parameters, m->gradients,     m->optimizer, m->activations,
                                m->work,       m->communication, m->total};
    for (int i = 0; i < COLUMNS; i++) v[i] = (double) of[i];
}

static void print_memory (const wb_plan_t *p) {
    static const char *const heads[COLUMNS] = {"parameters", "gradients",     "optimizer", "activations",
                                               "work",       "communication", "total"};
    char b[32], c[32];
    putchar ('\n');
    print_stages (p, heads, memory_values);
    printf ("\nThe most a rank takes: %s, %s of it for program, MPI and BLAS.\n", bytes (b, p->own.bytes),
            bytes (c, p->own.program));
    if (p->config->run.checkpoint_background == WB_BACKGROUND_FALSE)
        printf ("Steps wait for each checkpoint (checkpoint.background).\n");
    else if (p->own.bytes + p->own.copy <= p->machine.memory)
        printf ("Checkpoints are copied and written while steps go on: %s more of a rank (checkpoint.background).\n",
                bytes (b, p->own.copy));
    else
        printf ("Steps wait for each checkpoint: there is no memory for a copy of it, %s of a rank.\n",
                bytes (b, p->own.copy));
    if (p->own.bytes > p->machine.memory)
        printf ("That is more than the %s of --memory.\n", bytes (b, p->machine.memory));
}

static void traffic_values (double v[COLUMNS], const wb_plan_stage_t *s) {
    const wb_traffic_t *t = &s->traffic;
    const double of[COLUMNS] = {t->gradients, t->weights, t->tied, t->tensor, t->pipeline, t->muon, t->total};
    for (int i = 0; i < COLUMNS; i++) v[i] = of[i];
}

static void print_traffic (const wb_plan_t *p) {
    static const char *const heads[COLUMNS] = {"gradients", "weights", "embedding", "tensor",
                                               "pipeline",  "Muon",    "total"};
    const int on_node = p->machine.ranks_per_node;
    if (p->ranks == 1) return;
    if (p->own.traffic <= 0) {
        printf ("\nNothing is sent over the network: all ranks are on one node.\n");
        return;
    }
    printf ("\nA rank sends over the network in a step, with %d %s on a node:\n", on_node, ranks (on_node));
    print_stages (p, heads, traffic_values);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void print_model (const wb_plan_t *p) {
    const wb_size_t *s = &p->o.size;
    const int threads = p->machine.threads;
    char n[32];
    printf ("%s on %d %s: data %d x pipeline %d x tensor %d, %d %s a rank\n", p->config->path, p->ranks,
            ranks (p->ranks), p->lo.dp, p->lo.pp, p->lo.tp, threads, threads == 1 ? "thread" : "threads");
    printf ("%s parameters: %lld layers, width %lld, %lld heads, context %lld, vocabulary %lld\n",
            wb_format_count (n, wb_size_parameters (s)), (long long) s->L, (long long) s->C, (long long) s->H,
            (long long) s->T, (long long) s->V);
    printf ("%s tokens a step, %.4g GFLOP a token, %.4g PFLOP for %lld steps\n",
            wb_format_count (n, p->o.global_batch * p->o.T), wb_tuning_flops (&p->o.tuning, s, p->o.T) / 1e9,
            p->flop / 1e15, (long long) p->o.optim.steps);
    if (p->missing_tokenizer == NULL) return;
    printf ("The tokenizer %s does not exist: planned with %s ids, %s\n", p->missing_tokenizer,
            wb_format_count (n, s->V),
            p->assumed ? "those of gpt2-japanese's vocabulary (assumed)" : "as the model says");
}

static void print_pipeline (const wb_plan_t *p) {
    const wb_plan_estimate_t *e = &p->own;
    printf ("Micro-batches a rank and step: %d of %lld sequence%s", e->micros, (long long) e->B, wb_plural (e->B));
    if (e->filled < 1) {
        const int64_t most = wb_split_count (p->o.global_batch, e->dp, 0),
                      least = wb_split_count (p->o.global_batch, e->dp, e->dp - 1);
        printf (" at most: ");
        if (most > least) printf ("data ranks have %lld or %lld sequences, ", (long long) most, (long long) least);
        printf ("%.1f %% of the places are empty", 100 * (1 - e->filled));
    }
    printf (".\n");
    if (e->pp == 1) return;
    printf ("Pipeline: %d stages, %d %s a rank; idle share %s %.1f %% where stages cost the same", e->pp, p->lo.chunks,
            p->lo.chunks == 1 ? "chunk" : "chunks", e->exact ? "=" : "<=", 100 * e->bubble);
    if (e->idle > e->bubble + 5e-4) printf (", %.1f %% as they are", 100 * e->idle);
    printf (".\n");
}

/* 0.0512, 12.3, 1,234 */
static const char *number (char buf[32], double x) {
    if (x >= 1000) return wb_format_count (buf, (int64_t) (x + 0.5));
    snprintf (buf, 32, "%.3g", x);
    return buf;
}

static void print_speed (const wb_plan_t *p) {
    char n[32];
    printf ("\nA rank sustains %s GFLOP/s", number (n, p->machine.rate / 1e9));
    if (p->args->bench != NULL) {
        printf (" (%s", p->args->bench);
        if (p->bench.mfu > 0) printf (": MFU %.0f %%", 100 * p->bench.mfu);
        if (p->bench.threads > 0) printf (", %d thread%s a rank", p->bench.threads, wb_plural (p->bench.threads));
        putchar (')');
    }
    if (p->nodes > 1)
        printf ("; a node sends %.4g GB/s%s", p->machine.link / 1e9,
                p->args->link > 0 ? "" : " (assumed, 10 Gbit Ethernet; --link GBPS)");
    printf (".\n");
}

static void print_time (const wb_plan_t *p) {
    const wb_plan_time_t *t = &p->own.time;
    char a[32], b[32], c[32];
    if (p->machine.rate <= 0) {
        const int preset = p->config->model.preset;
        printf ("\nHow long: give --gflops X, which a rank sustains, or --bench FILE, what `wabun bench step "
                "--json%s%s%s%s` "
                "prints on one rank.\n",
                preset >= 0 ? " --preset " : "", preset >= 0 ? wb_preset_names[preset] : "",
                p->o.precision > 0 ? " --precision " : "",
                p->o.precision > 0 ? wb_precision_names[p->o.precision] : "");
        return;
    }
    print_speed (p);
    printf ("A step: %s", wb_format_seconds (a, t->total));
    if (t->exposed > 0.0005 * t->total)
        printf (", %s of it computing and %s of communication that nothing hides", wb_format_seconds (b, t->compute),
                wb_format_seconds (c, t->exposed));
    printf ("; %s tokens/s.\n", number (a, p->own.tokens_per_s));
    const double seconds = t->total * (double) p->o.optim.steps;
    if (seconds < 86400)
        printf ("The run: %s", wb_format_seconds (a, seconds));
    else
        printf ("The run: %s days", number (a, seconds / 86400));
    printf (", %s node-hours on %d node%s, without validation and checkpoints.\n",
            number (b, seconds / 3600 * p->nodes), p->nodes, wb_plural (p->nodes));
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

static void print_layout (const wb_plan_t *p, const wb_plan_estimate_t *e) {
    const bool own = e->dp == p->lo.dp && e->pp == p->lo.pp && e->tp == p->lo.tp;
    char b[2][32], n[2][32];
    printf ("%5d %8d %6d %11lld %12s %6.1f %% %12s", e->dp, e->pp, e->tp, (long long) e->B, bytes (b[0], e->bytes),
            100 * e->idle, bytes (b[1], e->traffic));
    if (p->machine.rate > 0)
        printf (" %10s %8s", number (n[0], e->tokens_per_s),
                number (n[1], e->time.total * (double) p->o.optim.steps / 86400));
    printf ("%s\n", own ? " *" : "");
}

static void print_layouts (const wb_plan_t *p) {
    const wb_plan_layouts_t *l = &p->layouts;
    const bool timed = p->machine.rate > 0;
    char b[32];
    if (p->ranks == 1) return;
    if (l->n == 0) {
        printf ("\nNo layout of %d ranks takes less than %s a rank.\n", p->ranks, bytes (b, p->machine.memory));
        return;
    }
    printf ("\nLayouts of %d ranks, %s (", p->ranks, timed ? "the fastest first" : "least idle time and traffic first");
    if (l->n < l->all) printf ("%d of %d; ", l->n, l->all);
    printf ("parallel.pipeline, parallel.tensor; * is this one):\n");
    printf ("%5s %8s %6s %11s %12s %8s %12s", "data", "pipeline", "tensor", "micro-batch", "memory", "idle", "traffic");
    if (timed) printf (" %10s %8s", "tokens/s", "days");
    putchar ('\n');
    for (int i = 0; i < l->n; i++) print_layout (p, &l->best[i]);
}

void wb_plan_print (const wb_plan_t *p) {
    print_model (p);
    print_memory (p);
    print_pipeline (p);
    print_traffic (p);
    print_time (p);
    print_layouts (p);
}
