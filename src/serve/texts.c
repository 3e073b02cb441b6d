/* What is said of texts without writing any: ids and back, scores, vectors; and of the models there are. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "serve/serve_priv.h"

enum { MOST_TEXTS = 256 };

/* ---- models ------------------------------------------------------------------------------------------------------ */

void wb_answer_models (wb_exchange_t *x) {
    json_t *list = json_array ();
    pthread_mutex_lock (&x->server->lock);
    for (const wb_served_t *m = x->server->served; m != NULL && !m->retired; m = m->next)
        json_array_append_new (list, json_pack ("{s:s,s:s,s:I,s:s,s:I,s:I,s:s,s:b}", "id", m->name, "object", "model",
                                                "created", (json_int_t) m->since, "owned_by", "wabun", "context_length",
                                                (json_int_t) m->model->size.T, "vocab_size",
                                                (json_int_t) m->model->size.V, "tokenizer",
                                                wb_tokenizer_kind (m->model->tokenizer), "chat", m->chat != NULL));
    pthread_mutex_unlock (&x->server->lock);
    wb_answer_json (x, 200, json_pack ("{s:s,s:o}", "object", "list", "data", list));
}

void wb_answer_health (wb_exchange_t *x) {
    pthread_mutex_lock (&x->server->lock);
    const bool draining = x->server->draining;
    pthread_mutex_unlock (&x->server->lock);
    wb_answer_json (x, draining ? 503 : 200, json_pack ("{s:s}", "status", draining ? "stopping" : "ok"));
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

void wb_answer_tokenize (wb_exchange_t *x) {
    const char *text = NULL;
    wb_ids_t ids = {0};
    wb_served_t *m = wb_json_model (x);
    if (m == NULL) return;
    if (wb_json_text (x, "text", &text)) {
        if (text == NULL) {
            wb_answer_error (x, 400, "text", NULL, "send {\"text\": ...}");
        } else if (wb_tokenizer_encode (m->model->tokenizer, &ids, text, strlen (text), false) != WB_OK) {
            wb_answer_failed (x);
        } else {
            json_t *list = json_array (), *pieces = json_array ();
            for (int64_t i = 0; i < ids.len; i++) {
                json_array_append_new (list, json_integer (ids.data[i]));
                json_array_append_new (pieces, wb_token_text (m, ids.data[i]));
            }
            wb_answer_json (
                x, 200, json_pack ("{s:I,s:o,s:o}", "count", (json_int_t) ids.len, "tokens", list, "pieces", pieces));
        }
    }
    wb_ids_fini (&ids);
    wb_served_put (x->server, m);
}

void wb_answer_detokenize (wb_exchange_t *x) {
    const char *text = NULL;
    wb_ids_t ids = {0};
    wb_buf_t out = {0};
    wb_served_t *m = wb_json_model (x);
    if (m == NULL) return;
    const json_t *list = json_object_get (x->json, "tokens");
    if (!json_is_array (list) || json_is_array (json_array_get (list, 0))) {
        wb_answer_error (x, 400, "tokens", NULL, "send {\"tokens\": [id, ...]}");
    } else if (json_array_size (list) == 0 || wb_json_prompt (x, "tokens", 0, m, &ids, &text)) {
        if (text != NULL)
            wb_answer_error (x, 400, "tokens", NULL, "tokens must be a list of token ids");
        else if (wb_tokenizer_decode (m->model->tokenizer, &out, ids.data, ids.len) != WB_OK)
            wb_answer_failed (x);
        else
            wb_answer_json (x, 200, json_pack ("{s:s#}", "text", out.data != NULL ? out.data : "", (int) out.len));
    }
    wb_ids_fini (&ids);
    wb_buf_fini (&out);
    wb_served_put (x->server, m);
}

/* ---- scores and vectors ------------------------------------------------------------------------------------------ */

/* A call with a job for each text of a field.  NULL: answered. */
static wb_call_t *read_texts (wb_exchange_t *x, const char *name) {
    int64_t n;
    if (json_is_null (json_object_get (x->json, name)) || json_object_get (x->json, name) == NULL) {
        wb_answer_error (x, 400, name, NULL, "send {\"%s\": a text or a list of texts}", name);
        return NULL;
    }
    if (!wb_json_prompts (x, name, &n, MOST_TEXTS)) return NULL;
    wb_served_t *m = wb_json_model (x);
    if (m == NULL) return NULL;
    x->call = wb_call_new (x->server, m, n, 1);
    if (x->call == NULL) wb_answer_error (x, 500, NULL, NULL, "out of memory");
    return x->call;
}

static bool is_too_long (wb_exchange_t *x, const char *name, int64_t i, const wb_job_t *j) {
    const int64_t T = x->call->served->model->size.T;
    if (j->ids.len <= T) return false;
    wb_answer_error (x, 400, name, "context_length_exceeded",
                     "text %lld of %s has %lld tokens: the model has %lld positions", (long long) i + 1, name,
                     (long long) j->ids.len, (long long) T);
    return true;
}

/* As `wabun score` reads a text: <|endoftext|>, the text, <|endoftext|>. */
static bool read_scored (wb_exchange_t *x, int64_t i, bool end) {
    wb_job_t *j = &x->call->jobs[i];
    const wb_served_t *m = x->call->served;
    const int32_t eot = wb_tokenizer_eot (m->model->tokenizer);
    if (wb_ids_put (&j->ids, eot) != WB_OK) {
        wb_answer_failed (x);
        return false;
    }
    if (!wb_json_prompt (x, "text", i, m, &j->ids, &j->prompt)) return false;
    if (end && wb_ids_put (&j->ids, eot) != WB_OK) {
        wb_answer_failed (x);
        return false;
    }
    j->r.prompt = true, j->r.likely = 0;
    return !is_too_long (x, "text", i, j);
}

static json_t *score_of (const wb_call_t *c, const wb_job_t *j, bool tokens) {
    double total = 0;
    json_t *pieces = json_array (), *logprobs = json_array (), *ids = json_array ();
    for (int64_t i = 0; i < j->records.len; i++) {
        total += (double) j->records.data[i].logprob;
        if (!tokens) continue;
        json_array_append_new (pieces, wb_token_text (c->served, j->records.data[i].id));
        json_array_append_new (logprobs, json_real ((double) j->records.data[i].logprob));
        json_array_append_new (ids, json_integer (j->records.data[i].id));
    }
    json_t *o = json_pack ("{s:I,s:f,s:I}", "index", (json_int_t) (j - c->jobs), "logprob",
                           isfinite (total) ? total : -1e30, "count", (json_int_t) j->records.len);
    if (tokens)
        json_object_update_new (
            o, json_pack ("{s:O,s:O,s:O}", "tokens", pieces, "token_logprobs", logprobs, "token_ids", ids));
    json_decref (pieces);
    json_decref (logprobs);
    json_decref (ids);
    return o;
}

void wb_answer_score (wb_exchange_t *x) {
    bool tokens = false, without_end = false;
    if (!wb_json_bool (x, "tokens", &tokens) || !wb_json_bool (x, "exclude_end", &without_end)) return;
    wb_call_t *c = read_texts (x, "text");
    if (c == NULL) return;
    for (int64_t i = 0; i < c->njobs; i++)
        if (!read_scored (x, i, !without_end)) return;
    if (!wb_answer_call (x)) return;
    json_t *list = json_array ();
    for (int64_t i = 0; i < c->njobs; i++) json_array_append_new (list, score_of (c, &c->jobs[i], tokens));
    wb_answer_json (x, 200,
                    json_pack ("{s:s,s:s,s:o,s:o}", "object", "list", "model", c->served->name, "data", list, "usage",
                               wb_completion_usage (c)));
}

/* Base64 of bytes, as OpenAI's clients ask for vectors. */
static json_t *base64 (const void *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    char *out = wb_malloc ((n + 2) / 3 * 4), *at = out;
    if (out == NULL) return NULL;
    for (size_t i = 0; i < n; i += 3) {
        const unsigned x =
            (unsigned) p[i] << 16 | (i + 1 < n ? (unsigned) p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
        *at++ = digits[x >> 18];
        *at++ = digits[x >> 12 & 63];
        *at++ = '=';
        *at++ = '=';
        if (i + 1 < n) at[-2] = digits[x >> 6 & 63];
        if (i + 2 < n) at[-1] = digits[x & 63];
    }
    json_t *text = json_stringn (out, (size_t) (at - out));
    wb_free (out);
    return text;
}

static json_t *vector_of (const wb_call_t *c, const wb_job_t *j, bool packed) {
    const int64_t C = c->served->model->size.C;
    if (packed) return base64 (j->vector, (size_t) C * sizeof (float)); /* little-endian, as everything here */
    json_t *list = json_array ();
    for (int64_t i = 0; i < C; i++) json_array_append_new (list, json_real ((double) j->vector[i]));
    return list;
}

void wb_answer_embeddings (wb_exchange_t *x) {
    const char *format = "float";
    int64_t dimensions = -1;
    if (!wb_json_text (x, "encoding_format", &format) || !wb_json_int (x, "dimensions", &dimensions, 1, INT32_MAX))
        return;
    const bool packed = strcmp (format, "base64") == 0;
    if (!packed && strcmp (format, "float") != 0) {
        wb_answer_error (x, 400, "encoding_format", NULL, "encoding_format must be float or base64");
        return;
    }
    wb_call_t *c = read_texts (x, "input");
    if (c == NULL) return;
    const int64_t C = c->served->model->size.C;
    if (dimensions >= 0 && dimensions != C) {
        wb_answer_error (x, 400, "dimensions", NULL, "vectors of this model have %lld dimensions", (long long) C);
        return;
    }
    for (int64_t i = 0; i < c->njobs; i++) {
        wb_job_t *j = &c->jobs[i];
        if (!wb_json_prompt (x, "input", i, c->served, &j->ids, &j->prompt) || is_too_long (x, "input", i, j)) return;
        if (j->ids.len == 0) {
            wb_answer_error (x, 400, "input", NULL, "text %lld of input is empty: it has no vector", (long long) i + 1);
            return;
        }
        j->r.vector = true;
    }
    if (!wb_answer_call (x)) return;
    json_t *list = json_array ();
    for (int64_t i = 0; i < c->njobs; i++)
        json_array_append_new (list, json_pack ("{s:s,s:I,s:o}", "object", "embedding", "index", (json_int_t) i,
                                                "embedding", vector_of (c, &c->jobs[i], packed)));
    json_t *usage = wb_completion_usage (c);
    json_object_del (usage, "completion_tokens");
    wb_answer_json (
        x, 200,
        json_pack ("{s:s,s:s,s:o,s:o}", "object", "list", "model", c->served->name, "data", list, "usage", usage));
}
