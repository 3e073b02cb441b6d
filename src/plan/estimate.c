/* One layout: what its ranks hold and send, how long they wait, and the time of a step.
 *
 * The time is a model of a machine whose ranks sustain one rate and whose nodes send at one speed.  Not in it: memory
 * traffic within a node, latencies, slow nodes, products too small to reach the rate, the optimizer, validation and
 * checkpoints. */
#include "config.h"

#include "plan/plan_priv.h"

static double beyond (double seconds, double hidden) { return seconds > hidden ? seconds - hidden : 0; }

/* Computing: the flop of a rank at its rate, of which a backward pass is two thirds; stages wait for the share `idle`
 * of that time.
 *
 * Communication, each kind at the speed of the link:
 *   - sums of the tensor group, messages between stages, the tied embedding and Muon's products: nothing hides them;
 *   - gradients are final in the last micro-batch only, so its backward pass hides them, and nothing before;
 *   - weights are gathered during the next step's first forward pass, which waits for them layer by layer. */
wb_plan_time_t wb_plan_time (const wb_plan_work_t *w, double rate, double link) {
    const wb_traffic_t *t = &w->traffic;
    const double micro = w->flop / rate / w->micros;
    wb_plan_time_t out = {.compute = w->flop / rate / (1 - w->idle)};
    out.exposed = (t->tensor + t->pipeline + t->tied + t->muon) / link + beyond (t->gradients / link, micro * 2 / 3) +
                  beyond (t->weights / link, micro / 3);
    out.total = out.compute + out.exposed;
    return out;
}

/* Flop of a stage in a step, without what is not computed for layers that do not learn, with what is recomputed: a
 * third of a layer's is its forward pass, which recompute = block does again; recompute = attention does so with the
 * attention only. */
static double stage_flop (const wb_step_options_t *o, const wb_layout_t *lo, int p) {
    wb_size_t none = o->size, one = o->size;
    none.L = 0, one.L = 1;
    const double head = wb_size_flops (&none, o->T), layer = wb_size_flops (&one, o->T) - head;
    const double C = (double) o->size.C, attention = 2 * C * (double) (o->T + 1);
    const double again[] = {
        [WB_RECOMPUTE_NONE] = 0, [WB_RECOMPUTE_ATTENTION] = attention, [WB_RECOMPUTE_BLOCK] = layer / 3};
    wb_tuning_t whole = o->tuning;
    whole.layers = 0;
    const double saved =
        o->tuning.rank > 0 ? (wb_size_flops (&one, o->T) - head / 3 - wb_tuning_flops (&whole, &one, o->T)) : 0;
    const double tokens = (double) o->global_batch / lo->dp * (double) o->T;
    const int64_t first = wb_tuning_first (&o->tuning, &o->size);
    double sum = p < lo->pp - 1 ? 0 : first < 0 ? head : head * 2 / 3;
    for (int c = 0; c < lo->chunks; c++) {
        const int stage = c * lo->pp + p;
        for (int64_t l = lo->first[stage]; l < lo->first[stage + 1]; l++)
            sum += l < first ? layer / 3 : layer - saved + again[o->recompute];
    }
    return sum * tokens / lo->tp;
}

static wb_status of_stage (wb_plan_stage_t *out, const wb_plan_machine_t *m, const wb_step_options_t *o,
                           wb_layout_t *lo, int p) {
    lo->pp_rank = p;
    wb_status status = wb_trainer_memory (&out->memory, o, lo);
    if (status == WB_OK) status = wb_plan_traffic (&out->traffic, o, lo, m->ranks_per_node);
    lo->pp_rank = 0;
    out->flop = stage_flop (o, lo, p);
    return status;
}

/* The stage whose communication takes longest decides, and the data rank with the largest share: what it computes is
 * mean / filled. */
static void add_time (wb_plan_estimate_t *out, const wb_plan_machine_t *m, const wb_step_options_t *o,
                      const wb_plan_stage_t *stages, double mean) {
    if (m->rate <= 0) return;
    for (int p = 0; p < out->pp; p++) {
        const wb_plan_work_t work = {mean / out->filled, 1 - (1 - out->idle) / out->filled, out->micros,
                                     stages[p].traffic};
        const wb_plan_time_t time = wb_plan_time (&work, m->rate, m->link / m->ranks_per_node);
        if (time.total > out->time.total) out->time = time;
    }
    out->tokens_per_s = (double) o->global_batch * (double) o->T / out->time.total;
}

static wb_status estimate (wb_plan_estimate_t *out, wb_plan_stage_t *stages, const wb_plan_machine_t *m,
                           const wb_step_options_t *o, wb_layout_t *lo) {
    double sum = 0, max = 0;
    *out = (wb_plan_estimate_t){
        .dp = lo->dp, .pp = lo->pp, .tp = lo->tp, .B = o->B, .micros = wb_step_micro_batches (o, lo)};
    out->exact = true;
    out->filled = (double) o->global_batch / ((double) lo->dp * out->micros * (double) o->B);
    out->program = (double) wb_trainer_overhead (lo->dp * lo->pp * lo->tp, m->threads, o->size.C);
    for (int p = 0; p < lo->pp; p++) {
        WB_TRY (of_stage (&stages[p], m, o, lo, p));
        const double bytes = (double) stages[p].memory.total + out->program;
        sum += stages[p].flop;
        if (stages[p].flop > max) max = stages[p].flop;
        if (bytes > out->bytes) out->bytes = bytes;
        const double copy = (double) wb_trainer_copy_bytes (&stages[p].memory, o, lo->dp);
        if (copy > out->copy) out->copy = copy;
        if (stages[p].traffic.total > out->traffic) out->traffic = stages[p].traffic.total;
    }
    if (lo->pp > 1) WB_TRY (wb_plan_idle (&out->bubble, &out->exact, o, lo));
    out->idle = 1 - (1 - out->bubble) * out->filled * sum / lo->pp / max;
    add_time (out, m, o, stages, sum / lo->pp);
    return WB_OK;
}

wb_status wb_plan_estimate (wb_plan_estimate_t *out, wb_plan_stage_t *stages, const wb_plan_machine_t *m,
                            const wb_step_options_t *o, wb_layout_t *lo) {
    wb_plan_stage_t *own = stages == NULL ? wb_calloc ((size_t) lo->pp, sizeof *own) : stages;
    if (own == NULL) return WB_NOMEM ("%d stages", lo->pp);
    const wb_status status = estimate (out, own, m, o, lo);
    if (stages == NULL) wb_free (own);
    return status;
}
