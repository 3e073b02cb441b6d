/* Generation: from a context to the ids of texts, by the engine.
 *
 * Each id is drawn by (seed, text, place), or found by a search, so the number of texts at a time changes none.
 *
 * Not here: drawing an id (sample.c), text from ids (texts.c; but for the training report), files, signals. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"
#include "wabun/engine.h"

enum { BATCH = 32 };
#define MAX_BYTES ((size_t) 2 << 30) /* of keys and values: texts wait for each other rather than take more */

/* What becomes of the engine's events. */
typedef struct generator {
    const wb_generation_t *g;
    wb_status *status; /* of all */
} generator_t;

/* Hand on an id, -1: the end of its text. */
static wb_status emit (const wb_generation_t *g, const wb_event_t *e, int32_t id) {
    wb_likely_t likely[1 + WB_LIKELY_MAX];
    if (g->texts != NULL) {
        likely[0] = (wb_likely_t){id, e->logprob};
        for (int i = 0; i < WB_LIKELY_MAX; i++)
            likely[1 + i] = i < e->nlikely ? e->likely[i] : (wb_likely_t){-1, -INFINITY};
        WB_TRY (wb_texts_put (g->texts, e->text, id, id >= 0 && g->logprobs ? likely : NULL));
    }
    return g->emit != NULL ? g->emit (g->ctx, e->text, id) : WB_OK;
}

static bool put (void *ctx, const wb_event_t *e) {
    generator_t *q = ctx;
    const wb_generation_t *g = q->g;
    if (*q->status != WB_OK) return false;
    if (e->kind == WB_EVENT_END && e->end == WB_END_NUMBERS)
        *q->status = WB_FAIL (WB_ENUMERIC,
                              "text %lld, token %lld: a logit is NaN or infinite: the weights of the model are damaged",
                              (long long) e->text + 1, (long long) e->index + 1);
    else if (e->kind == WB_EVENT_END && e->end == WB_END_MEMORY)
        *q->status = WB_NOMEM ("%lld tokens", (long long) e->index);
    else
        *q->status = emit (g, e, e->kind == WB_EVENT_END ? -1 : e->id);
    return *q->status == WB_OK && !(g->texts != NULL && wb_texts_ended (g->texts, e->text));
}

/* Ids that a context has in the model. */
static int64_t used (const wb_model_t *m, const wb_generation_t *g) {
    return g->ncontext < m->size.T ? g->ncontext : m->size.T;
}

/* Texts at a time and blocks for them. */
static wb_engine_limits_t limits_of (const wb_model_t *m, const wb_generation_t *list, int64_t n) {
    const int64_t T = m->size.T;
    int64_t samples = 0, blocks = 0;
    int width = 0;
    wb_engine_limits_t l = {.texts = BATCH, .positions = 1};
    for (const wb_generation_t *g = list; g < list + n; g++) {
        const int64_t nids = g->ncontext > 0 ? used (m, g) : 1, length = g->max_length > 0 ? g->max_length : 1;
        const int64_t longest = nids < T && length < T - nids ? nids + length : T;
        const int search = wb_search_width (&g->sampling.search);
        samples += g->samples;
        if (g->batch > 0 && g->batch < l.texts) l.texts = g->batch;
        if (longest > l.positions) l.positions = longest;
        if (search > width) width = search;
    }
    if (samples < l.texts) l.texts = (int) samples;
    const int64_t each = (l.positions + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK,
                  most = (int64_t) (MAX_BYTES / wb_engine_block_bytes (&m->size, m->form.half_cache));
    blocks = each * l.texts;
    if (blocks > most) blocks = most > 0 ? most : 1;
    if (width > l.texts) l.texts = width;
    if (width > 0 && blocks < (each + 1) * width) blocks = (each + 1) * width; /* all of its texts, or none */
    l.blocks = blocks;
    return l;
}

static wb_status open_engine (wb_engine_t **e, const wb_model_t *m, const wb_generation_t *list, int64_t n) {
    wb_engine_limits_t l = limits_of (m, list, n);
    bool search = false;
    for (int64_t i = 0; i < n; i++) search = search || wb_search_width (&list[i].sampling.search) > 0;
    wb_status status = wb_engine_new (e, m, &l);
    while (status == WB_ENOMEM && l.texts > 1 && !search) { /* fewer texts at a time, rather than none */
        l.texts /= 2;
        l.blocks /= 2;
        wb_error_clear ();
        status = wb_engine_new (e, m, &l);
    }
    return status;
}

static wb_status submit (wb_engine_t *e, const wb_model_t *m, generator_t *q) {
    const int32_t eot = wb_tokenizer_eot (m->tokenizer);
    const wb_generation_t *g = q->g;
    const int64_t n = used (m, g);
    uint64_t id;
    const wb_request_t r = {.ids = n > 0 ? g->context + g->ncontext - n : &eot,
                            .n = n > 0 ? n : 1,
                            .texts = g->samples,
                            .sampling = g->sampling,
                            .min_length = g->min_length,
                            .max_length = g->max_length,
                            .likely = g->logprobs ? (int) g->top_logprobs : -1,
                            .event = put,
                            .ctx = q};
    return g->samples < 1 ? WB_OK : wb_engine_submit (e, &id, &r);
}

wb_status wb_generate_all (const wb_model_t *m, const wb_generation_t *list, int64_t n) {
    WB_ASSERT (m->tokenizer != NULL);
    const int32_t size = wb_tokenizer_size (m->tokenizer);
    wb_engine_t *e;
    wb_status heard = WB_OK;
    for (int64_t i = 0; i < n; i++) {
        WB_TRY (wb_sampling_check (&list[i].sampling, size < m->size.V ? size : m->size.V));
        if (list[i].ncontext > m->size.T)
            wb_warn ("the context has %lld tokens, the model %lld positions: the last %lld are used",
                     (long long) list[i].ncontext, (long long) m->size.T, (long long) m->size.T);
    }
    generator_t *q = wb_calloc ((size_t) n, sizeof *q);
    if (q == NULL) return WB_NOMEM ("texts");
    wb_status status = open_engine (&e, m, list, n);
    for (int64_t i = 0; i < n && status == WB_OK; i++) {
        q[i] = (generator_t){&list[i], &heard};
        status = submit (e, m, &q[i]);
    }
    while (status == WB_OK && wb_engine_step (e)) status = heard;
    wb_engine_destroy (e);
    wb_free (q);
    return status;
}

wb_status wb_generate (const wb_model_t *m, const wb_generation_t *g) {
    return g->samples < 1 ? WB_OK : wb_generate_all (m, g, 1);
}

/* ---- for the training report ----------------------------------------------------------------------------------- */

static wb_status keep_id (void *ctx, int64_t sample, int32_t id) {
    (void) sample;
    return id >= 0 ? wb_ids_put (ctx, id) : WB_OK;
}

wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) {
    wb_ids_t ids = {0}, drawn = {0};
    wb_status status =
        context != NULL ? wb_tokenizer_encode (m->tokenizer, &ids, context, strlen (context), false) : WB_OK;
    if (status == WB_OK) {
        const int64_t used = ids.len < m->size.T ? ids.len : m->size.T;
        const wb_generation_t g = {.sampling = *s,
                                   .context = ids.data + (ids.len - used),
                                   .ncontext = used,
                                   .max_length = tokens,
                                   .samples = 1,
                                   .emit = keep_id,
                                   .ctx = &drawn};
        status = wb_generate (m, &g);
    }
    if (status == WB_OK) status = wb_tokenizer_decode (m->tokenizer, out, drawn.data, drawn.len);
    wb_ids_fini (&drawn);
    wb_ids_fini (&ids);
    return status;
}
