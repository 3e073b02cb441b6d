/* What state.json keeps of the health of a run's numbers: losses of late, and the steps that are left out.
 *
 * Numbers have all their digits, so a run that goes on from there judges as one that was not interrupted. */
#include "config.h"

#include "run/state.h"

json_t *wb_state_spikes (const wb_run_t *r) {
    const wb_spikes_t *s = &r->spikes;
    return json_pack ("{s:I, s:[f,f], s:[f,f], s:f, s:I, s:b, s:I}", "steps", (json_int_t) s->n, "mean", s->mean[0],
                      s->mean[1], "variance", s->variance[0], s->variance[1], "lowest", s->lowest, "held",
                      (json_int_t) s->held, "during", (int) s->during, "bad_steps", (json_int_t) r->bad_steps);
}

json_t *wb_state_rollbacks (const wb_rollbacks_t *b) {
    json_t *list = json_array ();
    for (int i = 0; i < b->n; i++)
        json_array_append_new (
            list, json_pack ("[I,I]", (json_int_t) b->left_out[i].first, (json_int_t) b->left_out[i].last));
    return json_pack ("{s:I, s:I, s:o}", "count", (json_int_t) b->count, "to", (json_int_t) b->to, "left_out", list);
}

static int64_t integer (const json_t *j, const char *key) {
    return (int64_t) json_integer_value (json_object_get (j, key));
}

static void read_spikes (wb_state_t *out, const json_t *j) {
    wb_spikes_t *s = &out->spikes;
    *s = (wb_spikes_t){.n = integer (j, "steps"),
                       .lowest = json_number_value (json_object_get (j, "lowest")),
                       .held = integer (j, "held"),
                       .during = json_is_true (json_object_get (j, "during"))};
    for (size_t i = 0; i < WB_SPIKE_VALUES; i++) {
        s->mean[i] = json_number_value (json_array_get (json_object_get (j, "mean"), i));
        s->variance[i] = json_number_value (json_array_get (json_object_get (j, "variance"), i));
    }
    out->bad_steps = integer (j, "bad_steps");
    if (s->n < 0 || out->bad_steps < 0) *s = (wb_spikes_t){0}, out->bad_steps = 0;
}

/* Steps beyond 2^38 are nobody's. */
static void read_rollbacks (wb_rollbacks_t *b, const json_t *j) {
    const json_t *list = json_object_get (j, "left_out");
    const size_t n = json_array_size (list);
    const int64_t count = integer (j, "count");
    *b = (wb_rollbacks_t){.count = count > 0 ? count : 0, .to = integer (j, "to")};
    for (size_t i = 0; i < n && i < WB_ROLLBACKS_MAX / 2; i++) {
        const json_t *range = json_array_get (list, i);
        const wb_steps_t s = {(int64_t) json_integer_value (json_array_get (range, 0)),
                              (int64_t) json_integer_value (json_array_get (range, 1))};
        if (1 <= s.first && s.first <= s.last && s.last < (int64_t) 1 << 38) wb_rollbacks_leave_out (b, s);
    }
}

void wb_state_read_health (wb_state_t *s) {
    read_spikes (s, json_object_get (s->json, "spikes"));
    read_rollbacks (&s->rollbacks, json_object_get (s->json, "rollbacks"));
    s->global_batch = integer (s->json, "global_batch");
    if (s->global_batch < 0 || s->global_batch > 10000000) s->global_batch = 0;
}
