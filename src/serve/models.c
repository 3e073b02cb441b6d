/* The models a server has, by name.
 *
 * A model is loaded whole, with an engine of its own.  When it is loaded anew, the old one is retired: requests that
 * came before end with it.
 *
 * Not here: files of models (infer, checkpoint). */
#include "config.h"

#include <string.h>
#include <time.h>

#include "serve/serve_priv.h"

static void destroy (wb_served_t *m) {
    wb_engine_discard (m->engine);
    wb_model_destroy (m->model);
    wb_chat_destroy (m->chat);
    wb_free (m->name);
    wb_free (m);
}

/* NAME=DIR, or DIR, whose last part is the name. */
static wb_status name_of (char **name, const char **dir, const char *spec) {
    const char *equals = strchr (spec, '='), *slash = strchr (spec, '/');
    if (equals != NULL && equals > spec && (slash == NULL || equals < slash)) {
        *name = wb_strndup (spec, (size_t) (equals - spec));
        *dir = equals + 1;
    } else {
        size_t n = strlen (spec);
        while (n > 1 && spec[n - 1] == '/') n--;
        size_t from = n;
        while (from > 0 && spec[from - 1] != '/') from--;
        *name = n > from ? wb_strndup (spec + from, n - from) : wb_strdup ("model");
        *dir = spec;
    }
    return *name != NULL ? WB_OK : WB_NOMEM ("model %s", spec);
}

/* Blocks of keys and values. */
static int64_t blocks_of (const wb_serve_t *o, const wb_size_t *size) {
    const int64_t all = o->texts * ((size->T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK);
    const size_t room = o->cache > 0 ? (size_t) o->cache << 20 : wb_mem_free () / 4;
    const int64_t fit = (int64_t) (room / wb_engine_block_bytes (size, o->args.half_cache));
    return all < fit ? all : fit > 0 ? fit : 1;
}

static wb_status load (wb_served_t **out, const wb_server_t *s, const char *spec) {
    wb_model_args_t args = s->o->args;
    struct timespec now;
    wb_served_t *m = *out = wb_calloc (1, sizeof *m);
    if (m == NULL) return WB_NOMEM ("model %s", spec);
    WB_TRY (name_of (&m->name, &args.model, spec));
    WB_TRY (wb_chat_read (&m->chat, args.model));
    WB_TRY (wb_model_open (&m->model, &args, "serve"));
    const wb_size_t *size = &m->model->size;
    const wb_engine_limits_t l = {.texts = (int) s->o->texts, .blocks = blocks_of (s->o, size)};
    WB_TRY (wb_engine_new (&m->engine, m->model, &l));
    clock_gettime (CLOCK_REALTIME, &now);
    m->since = now.tv_sec;
    return WB_OK;
}

void wb_served_destroy (wb_served_t *list) {
    while (list != NULL) {
        wb_served_t *m = list;
        list = m->next;
        destroy (m);
    }
}

wb_status wb_served_load (wb_served_t **out, const wb_server_t *s) {
    wb_served_t *first = NULL, **end = &first;
    wb_status status = WB_OK;
    for (int i = 0; status == WB_OK && i < s->o->nmodels; i++) {
        status = load (end, s, s->o->models[i]);
        for (const wb_served_t *m = first; status == WB_OK && m != *end; m = m->next)
            if (strcmp (m->name, (*end)->name) == 0)
                status =
                    WB_FAIL (WB_EUSAGE, "two models have the name %s: give them others by --model NAME=DIR", m->name);
        end = *end != NULL ? &(*end)->next : end;
    }
    if (status != WB_OK) wb_served_destroy (first);
    *out = status == WB_OK ? first : NULL;
    return status;
}

void wb_served_replace (wb_server_t *s, wb_served_t *list) {
    wb_served_t **end = &list;
    while (*end != NULL) end = &(*end)->next;
    pthread_mutex_lock (&s->lock);
    for (wb_served_t *m = s->served; m != NULL; m = m->next) m->retired = true;
    *end = s->served;
    s->served = list;
    pthread_mutex_unlock (&s->lock);
}

void wb_served_sweep (wb_server_t *s, bool all) {
    pthread_mutex_lock (&s->lock);
    wb_served_t *gone = NULL;
    for (wb_served_t **at = &s->served; *at != NULL;) {
        wb_served_t *m = *at;
        if (!all && (!m->retired || m->users > 0)) {
            at = &m->next;
            continue;
        }
        wb_engine_stats_t e, *g = &s->stats.gone;
        wb_engine_stats (&e, m->engine);
        g->prompt_tokens += e.prompt_tokens, g->shared_tokens += e.shared_tokens, g->tokens += e.tokens;
        g->steps += e.steps, g->paused += e.paused;
        *at = m->next;
        m->next = gone;
        gone = m;
    }
    pthread_mutex_unlock (&s->lock);
    wb_served_destroy (gone);
}

wb_served_t *wb_served_get (wb_server_t *s, const char *name) {
    pthread_mutex_lock (&s->lock);
    wb_served_t *m = s->served;
    if (s->o->nmodels > 1 && name != NULL)
        while (m != NULL && !m->retired && strcmp (m->name, name) != 0) m = m->next;
    if (m != NULL && m->retired) m = NULL;
    if (m != NULL) m->users++;
    pthread_mutex_unlock (&s->lock);
    return m;
}

void wb_served_put (wb_server_t *s, wb_served_t *m) {
    pthread_mutex_lock (&s->lock);
    m->users--;
    pthread_mutex_unlock (&s->lock);
}
