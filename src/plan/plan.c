/* What a job will take, before it is queued.
 *
 * Memory, traffic and schedules are computed by the functions the trainer itself uses, for ranks that do not exist; a
 * layout is refused with the same words.  Time follows from a rate that is given.  Nothing is trained, MPI is not
 * started, token files are not opened.
 *
 * Not here: guesses at the speed of machines that are not at hand. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "plan/plan_priv.h"

/* Ids of gpt2-japanese's vocabulary. */
enum { ASSUMED_VOCABULARY = 20573 };
/* Bytes a second between nodes: 10 Gbit Ethernet. */
#define ASSUMED_LINK 1.25e9

/* A vocabulary that is not here yet does not stop a plan: its size is that of the model, or assumed.  One that is here
 * and damaged does. */
static wb_status assume_vocabulary (wb_plan_t *p) {
    wb_config_t *c = p->config;
    bool found;
    if (c->tokenizer == NULL) return WB_OK;
    WB_TRY (wb_tokenizer_probe (&found, c->tokenizer));
    if (found || wb_file_exists (c->tokenizer)) return WB_OK;
    p->missing_tokenizer = c->tokenizer;
    c->tokenizer = NULL;
    p->assumed = c->model.size.V == 0 && c->model.base == NULL;
    if (p->assumed) c->model.size.V = ASSUMED_VOCABULARY;
    return WB_OK;
}

static wb_status describe_machine (wb_plan_t *p) {
    const wb_plan_args_t *a = p->args;
    const int threads = (int) (a->threads > 0 ? a->threads : p->config->parallel.threads);
    if (threads > 0) wb_kern_threads_set (threads); /* work space of the attention is by thread */
    p->machine = (wb_plan_machine_t){
        .threads = wb_kern_threads (),
        .ranks_per_node = a->ranks_per_node > 0 ? (int) a->ranks_per_node : 1,
        .rate = a->gflops * 1e9,
        .link = a->link > 0 ? a->link * 1e9 : ASSUMED_LINK,
        .memory = a->memory > 0 ? a->memory * (double) (1 << 30) : INFINITY,
    };
    if (a->bench != NULL) {
        WB_TRY (wb_plan_bench_read (&p->bench, a->bench));
        const bool bf16 = p->config->step.precision != WB_PRECISION_FP32;
        p->machine.rate = p->bench.gflops * 1e9;
        if (p->bench.bf16 != bf16)
            wb_warn ("%s was measured with products of %s, and train.precision is %s: measure with `wabun bench step "
                     "--precision %s`",
                     a->bench, p->bench.bf16 ? "bf16" : "fp32", bf16 ? "bf16" : "fp32",
                     wb_precision_names[p->config->step.precision]);
    }
    return WB_OK;
}

/* What would work, as the end of an error about ranks or batch: other numbers of ranks, or another layout of these. */
static wb_status advise (char *text, size_t size, const wb_plan_t *p, const wb_step_options_t *o) {
    const wb_parallel_options_t *c = &p->config->parallel;
    wb_plan_layouts_t l;
    int64_t near[2];
    size_t n = 0;
    text[0] = 0;
    wb_plan_nearest (near, o, p->ranks, c->pipeline, c->tensor);
    if (near[0] > 0 && near[1] > 0)
        n = (size_t) snprintf (text, size, "; these ranks would do: %lld or %lld", (long long) near[0],
                               (long long) near[1]);
    else if (near[0] + near[1] > 0)
        n = (size_t) snprintf (text, size, "; %lld ranks would do", (long long) (near[0] + near[1]));
    WB_TRY (wb_plan_layouts (&l, &p->machine, o, p->ranks));
    if (l.n > 0 && n < size)
        snprintf (text + n, size - n, "; %d %s with %s--set parallel.pipeline=%d --set parallel.tensor=%d", p->ranks,
                  p->ranks == 1 ? "rank works" : "ranks work", c->data > 0 ? "--set parallel.data=0 " : "",
                  l.best[0].pp, l.best[0].tp);
    return WB_OK;
}

/* Keep the error, with advice at its end. */
static wb_status refuse (const wb_plan_t *p, const wb_step_options_t *o) {
    wb_error_t e;
    char text[256];
    wb_error_take (&e);
    WB_TRY (advise (text, sizeof text, p, o));
    const size_t n = strlen (e.text);
    snprintf (e.text + n, sizeof e.text - n, "%s", text);
    wb_error_put (&e);
    return (wb_status) e.status;
}

static wb_status choose_grid (wb_plan_t *p) {
    const wb_parallel_options_t *c = &p->config->parallel;
    const wb_step_options_t asked = p->o; /* before a micro-batch is chosen */
    const int64_t model = (int64_t) c->pipeline * c->tensor;
    int64_t dp = c->data > 0 ? c->data : p->ranks / model;
    wb_status status = WB_OK;
    if (p->ranks > 0 && (dp < 1 || dp * model != p->ranks))
        status = WB_FAIL (WB_EUSAGE,
                          "parallel: %d rank%s cannot be data %lld x pipeline %lld x tensor %lld: set parallel.data = "
                          "0 and --ranks to "
                          "a multiple of %lld",
                          p->ranks, wb_plural (p->ranks), (long long) (dp < 1 ? 1 : dp), (long long) c->pipeline,
                          (long long) c->tensor, (long long) model);
    if (status != WB_OK) return refuse (p, &asked);
    if (dp < 1) dp = 1;
    status = wb_plan_layout (&p->lo, &p->o, &p->machine, (int) dp, c->pipeline, c->tensor);
    if (status == WB_EUSAGE && p->ranks > 0 && !wb_plan_deals (&asked, dp, c->pipeline)) return refuse (p, &asked);
    WB_TRY (status);
    p->ranks = (int) (dp * model);
    p->nodes = (p->ranks - 1) / p->machine.ranks_per_node + 1;
    return WB_OK;
}

static wb_status run (wb_plan_t *p) {
    wb_size_t size;
    WB_TRY (describe_machine (p));
    WB_TRY (assume_vocabulary (p));
    WB_TRY (wb_config_size (&size, &p->tokenizer, p->config));
    wb_config_step_options (&p->o, p->config, &size);
    const wb_step_options_t asked = p->o;
    WB_TRY (choose_grid (p));
    p->flop = wb_tuning_flops (&p->o.tuning, &size, p->o.T) * (double) p->o.global_batch * (double) p->o.T *
              (double) p->o.optim.steps;
    p->stages = wb_calloc ((size_t) p->lo.pp, sizeof *p->stages);
    if (p->stages == NULL) return WB_NOMEM ("%d stages", p->lo.pp);
    WB_TRY (wb_plan_estimate (&p->own, p->stages, &p->machine, &p->o, &p->lo));
    if (p->ranks > 1) WB_TRY (wb_plan_layouts (&p->layouts, &p->machine, &asked, p->ranks));
    if (p->args->json) return wb_plan_print_json (p);
    wb_plan_print (p);
    return WB_OK;
}

wb_status wb_plan (const wb_plan_args_t *a) {
    wb_plan_t p = {.args = a, .ranks = (int) a->ranks};
    WB_TRY (wb_config_new (&p.config, a->config, a->sets, a->nsets));
    const wb_status status = run (&p);
    if (p.tokenizer != NULL) wb_tokenizer_destroy (p.tokenizer);
    wb_free (p.stages);
    wb_free (p.missing_tokenizer);
    wb_config_destroy (p.config);
    return status;
}
