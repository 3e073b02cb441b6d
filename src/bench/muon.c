/* wabun bench muon: what Muon adds to a step, in each form the layout of ranks allows.
 *
 * The same training steps with AdamW, then with Muon whole, on grids, and as it chooses itself, with --precision bf16
 * each in fp32 and in bf16; of each the seconds of a step and of its update on the slowest rank.  The update does not
 * depend on the length of the context, so a short one shortens the measurement but not the figures of the update; the
 * share of a step wants the real one.
 *
 * Not done here: how much is learnt by it (doc/muon.md). */
#include "config.h"

#include <string.h>

#include "bench/bench_priv.h"

enum { FORMS = 4 };

typedef struct form {
    const char *name; /* in JSON */
    const char *title;
    bool measured;
    char text[512];
    double step, update, muon, need; /* seconds, medians of the slowest rank's */
    double flop;                     /* of Muon on all ranks, in a step */
    size_t state;                    /* bytes of optimizer state, the largest rank */
} form_t;

static wb_status measure (form_t *f, const wb_bench_t *b, const wb_topo_t *topo, const wb_step_options_t *o) {
    wb_comm_t *world = topo->world;
    wb_trainer_t *t;
    wb_step_options_t sample = *o;
    double *x = wb_calloc (4 * (size_t) b->steps, sizeof *x);
    wb_status status = wb_agree (world, x != NULL ? WB_OK : WB_NOMEM ("%lld steps", (long long) b->steps));
    if (status == WB_OK) status = wb_trainer_new (&t, topo, o);
    if (status != WB_OK) {
        wb_free (x);
        return status;
    }
    double bytes = 4 * (double) (t->state_floats[0] + t->state_floats[1]);
    if (wb_trainer_muon (t) != NULL) snprintf (f->text, sizeof f->text, "%s", wb_trainer_muon (t));
    for (int64_t i = -1; i < b->steps && status == WB_OK; i++) {
        wb_step_result_t r;
        wb_profile_t before = *wb_trainer_profile (t);
        wb_comm_barrier (world);
        double start = wb_now (), v[4], flop;
        status = wb_trainer_step (t, &r, wb_bench_sample, &sample, 0);
        const wb_profile_t *after = wb_trainer_profile (t);
        v[0] = wb_now () - start;
        v[1] = r.t_update;
        v[2] = after->of[WB_PROF_MUON].seconds - before.of[WB_PROF_MUON].seconds;
        v[3] = r.t_need;
        flop = after->of[WB_PROF_MUON].flop - before.of[WB_PROF_MUON].flop;
        wb_comm_max_f64 (world, v, 4);
        wb_comm_sum_f64 (world, &flop, 1);
        f->flop = flop;
        if (r.bad) status = WB_FAIL (WB_ENUMERIC, "numbers went bad in step %lld", (long long) i + 2);
        if (i < 0) continue;
        for (int j = 0; j < 4; j++) x[j * b->steps + i] = v[j];
    }
    wb_trainer_destroy (t);
    wb_comm_max_f64 (world, &bytes, 1);
    f->state = (size_t) bytes;
    f->step = wb_bench_median (x, b->steps);
    f->update = wb_bench_median (x + b->steps, b->steps);
    f->muon = wb_bench_median (x + 2 * b->steps, b->steps);
    f->need = wb_bench_median (x + 3 * b->steps, b->steps);
    f->measured = true;
    wb_free (x);
    return status;
}

static wb_status report_json (const form_t *forms, int n, const wb_bench_t *b, int data) {
    json_t *all = json_object (), *o = json_object ();
    for (int i = 0; i < n; i++) {
        const form_t *f = &forms[i];
        json_t *row = f->measured ? json_object () : NULL;
        if (!f->measured) continue;
        wb_bench_put_number (&row, "step", f->step);
        wb_bench_put_number (&row, "update", f->update);
        wb_bench_put_number (&row, "muon", f->muon);
        wb_bench_put_number (&row, "need", f->need);
        wb_bench_put_number (&row, "gflop", 1e-9 * f->flop);
        wb_bench_put_count (&row, "state_bytes", (int64_t) f->state);
        wb_bench_put_text (&row, "form", f->text);
        wb_bench_put (&all, f->name, row);
    }
    wb_bench_put_text (&o, "bench", "muon");
    wb_bench_put_text (&o, "preset", b->preset);
    wb_bench_put_count (&o, "ranks", b->ranks);
    wb_bench_put_count (&o, "threads", b->nthreads);
    wb_bench_put_count (&o, "data", data);
    wb_bench_put_count (&o, "pipeline", b->pipeline);
    wb_bench_put_count (&o, "tensor", b->tensor);
    wb_bench_put_count (&o, "context", b->o.T);
    wb_bench_put_text (&o, "precision", b->o.precision == WB_PRECISION_FP32 ? "fp32" : "bf16");
    wb_bench_put_text (&o, "bf16_unit", wb_bf16_unit_name (wb_bf16_unit_get ()));
    wb_bench_put_text (&o, "cpu", wb_cpu_name ());
    wb_bench_put (&o, "forms", all);
    return wb_bench_print_json (o);
}

static wb_status report (const form_t *forms, int n, const wb_bench_t *b, int data) {
    if (b->json) return report_json (forms, n, b, data);
    printf ("model       %s, context %lld; data %d x pipeline %lld x tensor %lld, %d thread%s a rank\n", b->preset,
            (long long) b->o.T, data, (long long) b->pipeline, (long long) b->tensor, b->nthreads,
            wb_plural (b->nthreads));
    printf ("processor   %s, %s%s\n", wb_cpu_name (), b->blas.core, wb_retuned_note ());
    if (b->o.precision != WB_PRECISION_FP32)
        printf ("bf16        with fp32 sums, by %s\n", wb_bf16_unit_name (wb_bf16_unit_get ()));
    printf ("\n%-12s %10s %10s %10s %10s %8s %10s %12s\n", "", "step ms", "update ms", "muon ms", "wait ms", "share",
            "GFLOP/s", "state");
    for (int i = 0; i < n; i++) {
        const form_t *f = &forms[i];
        char bytes[32];
        if (!f->measured) continue;
        printf ("%-12s %10.1f %10.1f %10.1f %10.1f %7.1f%% %10.1f %12s\n", f->title, 1e3 * f->step, 1e3 * f->update,
                1e3 * f->muon, 1e3 * f->need, 100 * f->update / f->step, f->muon > 0 ? 1e-9 * f->flop / f->muon : 0,
                wb_format_bytes (bytes, (double) f->state));
    }
    for (int i = 0; i < n; i++)
        if (forms[i].measured && forms[i].text[0] != 0) printf ("%-12s %s\n", forms[i].title, forms[i].text);
    return WB_OK;
}

static wb_status parse (void *options, int argc, char **argv) { return wb_bench_parse (options, argc, argv); }

static wb_status run (void *options, wb_comm_t *world) {
    wb_bench_t *b = options;
    form_t forms[2 * FORMS] = {{.name = "adamw", .title = "adamw"}, {.name = "adamw_bf16", .title = "adamw bf16"},
                               {.name = "whole", .title = "whole"}, {.name = "whole_bf16", .title = "whole bf16"},
                               {.name = "grid", .title = "grid"},   {.name = "grid_bf16", .title = "grid bf16"},
                               {.name = "auto", .title = "auto"},   {.name = "auto_bf16", .title = "auto bf16"}};
    wb_topo_t *topo;
    WB_TRY (wb_bench_threads (&b->nthreads, world, b->threads));
    WB_TRY (wb_topo_new (&topo, world, 0, wb_int (b->pipeline), wb_int (b->tensor)));
    wb_status status = wb_bench_complete (b, topo);
    bool choice = topo->dp > 1 && b->o.zero && wb_grid_possible ();
    for (int i = 0; i < 2 * FORMS && status == WB_OK; i++) {
        const int form = i / 2;
        wb_step_options_t o = b->o;
        if (form > 1 && !choice) continue;
        if (i % 2 == 0)
            o.precision = WB_PRECISION_FP32;
        else if (o.precision == WB_PRECISION_FP32)
            continue;
        if (form > 0) {
            o.optim.kind = WB_OPTIM_MUON;
            o.optim.muon_layout = form == 1 ? WB_MUON_WHOLE : form == 2 ? WB_MUON_GRID : WB_MUON_AUTO;
        }
        status = measure (&forms[i], b, topo, &o);
    }
    if (status == WB_OK && wb_comm_rank (world) == 0) status = report (forms, 2 * FORMS, b, topo->dp);
    status = wb_agree (world, status);
    wb_topo_destroy (topo);
    return status;
}

const wb_bench_row_t wb_bench_muon = {
    .name = "muon",
    .line = "what Muon adds to a step, in each form the layout of ranks allows",
    .bytes = sizeof (wb_bench_t),
    .parse = parse,
    .run = run,
};
