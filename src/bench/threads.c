/* wabun bench threads: what many threads would share badly, counted instead of measured.
 *
 * A step of training and steps of inference are cut for numbers of threads that this machine need not have.  Of all
 * threads' time a share is useful: what one thread would need for the same; more is idle while one works alone (serial)
 * and while the last ones of a region work (uneven); the rest is work that is done twice for the sake of threads.
 *
 * Not in it: bandwidth that cores share unevenly, and what starting threads costs. */
#include "config.h"

#include <math.h>

#include "bench/simulate.h"

enum { TEAMS = 4, CASES = 4 };

typedef struct options {
    wb_bench_size_t asked;
    wb_size_t size;
    const char *preset;
    int64_t batch, at_once, behind, threads;
    double balance;
    bool json, detail;
} options_t;

typedef struct figures {
    char name[40];
    int64_t texts; /* 0: training */
    wb_sim_t one, of[TEAMS];
} figures_t;

static const int usual[TEAMS] = {8, 16, 32, 64};

static wb_status parse (void *options, int argc, char **argv) {
    options_t *b = options;
    wb_status status;
    *b = (options_t){.batch = 8, .behind = 512, .balance = 16};
    wb_bench_size_begin (&b->asked, "small");
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_bench_is_size (&o, &b->asked, &status))
            WB_TRY (status);
        else if (wb_opts_is (&o, "--batch"))
            WB_TRY (wb_opts_int (&o, &b->batch, 1, 1 << 16));
        else if (wb_opts_is (&o, "--micro-batch"))
            WB_TRY (wb_opts_int (&o, &b->at_once, 0, 1 << 16));
        else if (wb_opts_is (&o, "--behind"))
            WB_TRY (wb_opts_int (&o, &b->behind, 0, 1 << 20));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &b->threads, 1, WB_SIM_THREADS));
        else if (wb_opts_is (&o, "--balance"))
            WB_TRY (wb_opts_float (&o, &b->balance, 0, 1e6));
        else if (wb_opts_is (&o, "--detail"))
            WB_TRY (wb_opts_flag (&o, &b->detail));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &b->json));
        else
            return wb_opts_unknown (&o);
    }
    return wb_bench_size_end (&b->size, &b->preset, &b->asked);
}

static int teams (const options_t *b) { return b->threads > 0 ? 1 : TEAMS; }

/* As in a run, where memory is no limit. */
static wb_status choose (int64_t *at_once, const options_t *b, int threads) {
    wb_step_options_t o;
    wb_config_step_defaults (&o);
    o.size = b->size, o.T = b->size.T, o.B = b->at_once, o.global_batch = b->batch;
    WB_TRY (wb_trainer_choose_micro_batch (&o, 1, 1, 1, threads, INFINITY));
    *at_once = o.B;
    return WB_OK;
}

/* at_once: of training, as chosen for the team; 0: choose. */
static wb_status count_case (wb_sim_t *s, const figures_t *f, const options_t *b, const wb_params_t *params,
                             int64_t *at_once, int threads) {
    wb_sim_begin (s, threads, b->balance);
    if (f->texts > 0) {
        wb_sim_infer (s, &b->size, f->texts, b->behind);
        return WB_OK;
    }
    if (*at_once == 0) WB_TRY (choose (at_once, b, threads));
    wb_sim_train (s, &b->size, params, b->batch, *at_once);
    return WB_OK;
}

static wb_status count (figures_t *f, const options_t *b, const wb_params_t *params) {
    static const int64_t texts[CASES] = {0, 1, 8, 32};
    for (int i = 0; i < CASES; i++) {
        f[i].texts = texts[i];
        if (texts[i] == 0)
            snprintf (f[i].name, sizeof f[i].name, "training, %lld sequences", (long long) b->batch);
        else
            snprintf (f[i].name, sizeof f[i].name, "inference, %lld text%s", (long long) texts[i],
                      wb_plural ((int) texts[i]));
        int64_t at_once = 0; /* the same for one thread */
        for (int j = teams (b) - 1; j >= 0; j--) {
            int64_t own = 0;
            WB_TRY (count_case (&f[i].of[j], &f[i], b, params, &own, b->threads > 0 ? (int) b->threads : usual[j]));
            if (at_once == 0) at_once = own;
        }
        WB_TRY (count_case (&f[i].one, &f[i], b, params, &at_once, 1));
    }
    return WB_OK;
}

/* ---- report ------------------------------------------------------------------------------------------------------ */

/* k of a team, one: the same for one thread; all: time of all threads. */
static void put_shares (json_t **o, const wb_sim_kernel_t *k, const wb_sim_kernel_t *one, double all) {
    wb_bench_put_number (o, "calls", k->calls);
    wb_bench_put_number (o, "flop", k->flop);
    wb_bench_put_number (o, "useful", one->work / all);
    wb_bench_put_number (o, "serial", k->serial / all);
    wb_bench_put_number (o, "uneven", k->uneven / all);
}

static json_t *team_json (const wb_sim_t *s, const figures_t *f) {
    const double all = wb_sim_time (s) * s->threads;
    const wb_sim_kernel_t sum = wb_sim_sum (s), one = wb_sim_sum (&f->one);
    json_t *o = json_object (), *list = json_array ();
    wb_bench_put_count (&o, "texts", f->texts);
    wb_bench_put_count (&o, "threads", s->threads);
    wb_bench_put_number (&o, "barriers", s->barriers);
    put_shares (&o, &sum, &one, all);
    for (int i = 0; i < s->kernels; i++) {
        json_t *row = json_object ();
        wb_bench_put_text (&row, "kernel", s->of[i].name);
        put_shares (&row, &s->of[i], &f->one.of[i], all);
        wb_bench_append (&list, row);
    }
    wb_bench_put (&o, "kernels", list);
    return o;
}

static wb_status report_json (const figures_t *f, const options_t *b) {
    json_t *o = json_object (), *list = json_array ();
    wb_bench_put_text (&o, "bench", "threads");
    wb_bench_put_text (&o, "preset", b->preset);
    wb_bench_put_count (&o, "batch", b->batch);
    wb_bench_put_count (&o, "behind", b->behind);
    wb_bench_put_number (&o, "balance", b->balance);
    for (int i = 0; i < CASES; i++)
        for (int j = 0; j < teams (b); j++) wb_bench_append (&list, team_json (&f[i].of[j], &f[i]));
    wb_bench_put (&o, "teams", list);
    return wb_bench_print_json (o);
}

static void print_row (const char *name, const figures_t *f, int n, int kernel) {
    printf ("%-24s", name);
    for (int j = 0; j < n; j++) {
        const wb_sim_t *s = &f->of[j];
        const double all = wb_sim_time (s) * s->threads;
        const wb_sim_kernel_t k = kernel < 0 ? wb_sim_sum (s) : s->of[kernel];
        const double useful = kernel < 0 ? wb_sim_sum (&f->one).work : f->one.of[kernel].work;
        printf ("%7.1f%7.1f%7.1f", 100 * useful / all, 100 * k.serial / all, 100 * k.uneven / all);
    }
    putchar ('\n');
}

static void print_table (const figures_t *f, const options_t *b, const wb_params_t *params) {
    wb_bench_print_model (&b->size, b->preset, params->own);
    printf ("inference   a token each behind %lld\n"
            "shares      of all threads' time in %%: useful, idle beside one (serial), idle at barriers (uneven);\n"
            "            counted, not measured; a byte of memory as %g flop\n\n%-24s",
            (long long) b->behind, b->balance, "threads");
    for (int j = 0; j < teams (b); j++) printf ("%21d", f[0].of[j].threads);
    printf ("\n%-24s", "");
    for (int j = 0; j < teams (b); j++) printf ("%7s%7s%7s", "useful", "serial", "uneven");
    putchar ('\n');
    for (int i = 0; i < CASES; i++) {
        char name[64];
        if (b->detail && i > 0) putchar ('\n');
        print_row (f[i].name, &f[i], teams (b), -1);
        for (int k = 0; b->detail && k < f[i].of[0].kernels; k++) {
            snprintf (name, sizeof name, "  %s", f[i].of[0].of[k].name);
            print_row (name, &f[i], teams (b), k);
        }
    }
    printf ("\n%-24s", "barriers");
    for (int i = 0; i < CASES; i++) printf ("%s%s: %.0f", i > 0 ? ", " : "", f[i].name, f[i].of[0].barriers);
    putchar ('\n');
}

static wb_status run (void *options, wb_comm_t *world) {
    const options_t *b = options;
    wb_layout_t layout;
    wb_params_t *params;
    (void) world;
    WB_TRY (wb_layout_init (&layout, 1, 1, 1, 1, b->size.L, b->size.H, 0.0, 0.0));
    wb_layout_place (&layout, 0);
    WB_TRY (wb_params_new (&params, &b->size, &layout));
    figures_t *f = wb_calloc (CASES, sizeof *f);
    wb_status status = f != NULL ? WB_OK : WB_NOMEM ("bench threads");
    if (status == WB_OK) status = count (f, b, params);
    if (status == WB_OK && b->json) status = report_json (f, b);
    if (status == WB_OK && !b->json) print_table (f, b, params);
    wb_free (f);
    wb_params_destroy (params);
    return status;
}

const wb_bench_row_t wb_bench_threads_row = {
    .name = "threads",
    .line = "what many threads would share badly: counted, not measured",
    .alone = true,
    .bytes = sizeof (options_t),
    .parse = parse,
    .run = run,
};
