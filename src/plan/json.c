/* The report of a plan as one JSON object.  Bytes, seconds and flop are plain numbers. */
#include "config.h"

#include <jansson.h>
#include <math.h>

#include "plan/plan_priv.h"

static json_t *known (double x) { return x > 0 && isfinite (x) ? json_real (x) : json_null (); }

static json_t *text (const char *s) { return s != NULL ? json_string (s) : json_null (); }

static json_t *memory_json (const wb_memory_t *m) {
    return json_pack ("{s:I s:I s:I s:I s:I s:I s:I}", "parameters", (json_int_t) m->parameters, "gradients",
                      (json_int_t) m->gradients, "optimizer", (json_int_t) m->optimizer, "activations",
                      (json_int_t) m->activations, "work", (json_int_t) m->work, "communication",
                      (json_int_t) m->communication, "total", (json_int_t) m->total);
}

static json_t *traffic_json (const wb_traffic_t *t) {
    return json_pack ("{s:f s:f s:f s:f s:f s:f s:f}", "gradients", t->gradients, "weights", t->weights, "embedding",
                      t->tied, "tensor", t->tensor, "pipeline", t->pipeline, "muon", t->muon, "total", t->total);
}

/* What json_array_append_new() and json_object_set_new() refuse (NULL, for lack of memory) makes the whole NULL. */
static void put (json_t **object, const char *name, json_t *value) {
    if (json_object_set_new (*object, name, value) == 0) return;
    json_decref (*object);
    *object = NULL;
}

static void append (json_t **list, json_t *value) {
    if (json_array_append_new (*list, value) == 0) return;
    json_decref (*list);
    *list = NULL;
}

static json_t *stages_json (const wb_plan_t *p) {
    json_t *list = json_array ();
    for (int s = 0; s < p->lo.pp; s++) {
        json_t *layers = json_array ();
        for (int c = 0; c < p->lo.chunks; c++) {
            const int32_t *first = &p->lo.first[c * p->lo.pp + s];
            append (&layers, json_pack ("[i i]", (int) first[0], (int) first[1] - 1));
        }
        append (&list, json_pack ("{s:o s:o s:o s:f}", "layers", layers, "memory", memory_json (&p->stages[s].memory),
                                  "traffic", traffic_json (&p->stages[s].traffic), "flop", p->stages[s].flop));
    }
    return list;
}

static json_t *estimate_json (const wb_plan_t *p, const wb_plan_estimate_t *e) {
    const double seconds = e->time.total * (double) p->o.optim.steps;
    json_t *o = json_pack ("{s:i s:i s:i s:I s:i s:f s:f s:f}", "data", e->dp, "pipeline", e->pp, "tensor", e->tp,
                           "micro_batch", (json_int_t) e->B, "micro_batches", e->micros, "memory", e->bytes, "idle",
                           e->idle, "traffic", e->traffic);
    const bool timed = p->machine.rate > 0;
    put (&o, "step_seconds", known (e->time.total));
    put (&o, "compute_seconds", known (e->time.compute));
    put (&o, "exposed_seconds", timed ? json_real (e->time.exposed) : json_null ());
    put (&o, "tokens_per_s", known (e->tokens_per_s));
    put (&o, "days", known (seconds / 86400));
    put (&o, "node_hours", known (seconds / 3600 * p->nodes));
    return o;
}

static json_t *layouts_json (const wb_plan_t *p) {
    json_t *list = json_array ();
    for (int i = 0; i < p->layouts.n; i++) append (&list, estimate_json (p, &p->layouts.best[i]));
    return list;
}

static json_t *model_json (const wb_plan_t *p) {
    const wb_size_t *s = &p->o.size;
    json_t *o = json_pack ("{s:I s:I s:I s:I s:I s:I}", "parameters", (json_int_t) wb_size_parameters (s), "layers",
                           (json_int_t) s->L, "width", (json_int_t) s->C, "heads", (json_int_t) s->H, "context",
                           (json_int_t) s->T, "vocabulary", (json_int_t) s->V);
    put (&o, "missing_tokenizer", text (p->missing_tokenizer));
    put (&o, "vocabulary_assumed", json_boolean (p->assumed));
    put (&o, "flop_per_token", json_real (wb_tuning_flops (&p->o.tuning, s, p->o.T)));
    return o;
}

static json_t *machine_json (const wb_plan_t *p) {
    const wb_plan_machine_t *m = &p->machine;
    json_t *o = json_pack ("{s:i s:i s:i s:i}", "ranks", p->ranks, "ranks_per_node", m->ranks_per_node, "nodes",
                           p->nodes, "threads", m->threads);
    put (&o, "gflops", known (m->rate / 1e9));
    put (&o, "bench", text (p->args->bench));
    put (&o, "mfu", known (p->bench.mfu));
    put (&o, "link_gbs", json_real (m->link / 1e9));
    put (&o, "link_assumed", json_boolean (p->args->link <= 0));
    put (&o, "memory_limit", known (m->memory));
    return o;
}

wb_status wb_plan_print_json (const wb_plan_t *p) {
    json_t *o = json_pack ("{s:s s:I s:I s:f}", "config", p->config->path, "steps", (json_int_t) p->o.optim.steps,
                           "tokens_per_step", (json_int_t) (p->o.global_batch * p->o.T), "flop", p->flop);
    put (&o, "model", model_json (p));
    put (&o, "machine", machine_json (p));
    put (&o, "layout", estimate_json (p, &p->own));
    put (&o, "program", json_real (p->own.program));
    put (&o, "background_copy", json_real (p->own.copy));
    put (&o, "stages", stages_json (p));
    put (&o, "layouts", layouts_json (p));
    char *line = o != NULL ? json_dumps (o, JSON_REAL_PRECISION (9) | JSON_COMPACT) : NULL;
    json_decref (o);
    if (line == NULL) return WB_NOMEM ("the report");
    puts (line);
    wb_free_foreign (line);
    return WB_OK;
}
