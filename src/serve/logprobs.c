/* Log-probabilities as the API has them: lists of tokens, of their log-probabilities, of the most likely tokens there
 * and of where each begins in the text.
 *
 * A token that is no whole characters is written as OpenAI's server writes it, by its bytes.
 * Not here: where they come from (infer's engine). */
#include "config.h"

#include <math.h>

#include "serve/serve_priv.h"

static void piece_of (const wb_served_t *m, const char **bytes, size_t *n, int32_t id) {
    *n = 0;
    if (wb_tokenizer_piece (m->model->tokenizer, bytes, n, id) == WB_OK) return;
    wb_error_clear (); /* an id that fills the vocabulary up */
    *bytes = "";
}

json_t *wb_token_text (const wb_served_t *m, int32_t id) {
    const char *bytes;
    size_t n;
    char buf[8 + 4 * 64] = "bytes:";
    piece_of (m, &bytes, &n, id);
    json_t *whole = json_stringn (bytes, n);
    if (whole != NULL && n > 0) return whole;
    json_decref (whole);
    if (n == 0) {
        snprintf (buf, sizeof buf, "<|id%d|>", (int) id);
    } else {
        for (size_t i = 0; i < n && i < 64; i++)
            snprintf (buf + 6 + 4 * i, 5, "\\x%02x", (unsigned) (unsigned char) bytes[i]);
    }
    return json_string (buf);
}

int64_t wb_token_characters (const wb_served_t *m, int32_t id) {
    const char *bytes;
    size_t n;
    int64_t begin = 0;
    piece_of (m, &bytes, &n, id);
    for (size_t i = 0; i < n; i++) begin += ((unsigned char) bytes[i] & 0xc0) != 0x80;
    return begin;
}

typedef struct lists {
    const wb_served_t *m;
    json_t *tokens, *logprobs, *likely, *offsets, *ids;
} lists_t;

/* A log-probability of 0 odds is no number of JSON. */
static json_t *number (float x) { return json_real (isfinite (x) ? (double) x : -1e30); }

static void put (lists_t *l, int32_t id, const wb_rated_t *r, int64_t *offset) {
    json_array_append_new (l->tokens, wb_token_text (l->m, id));
    json_array_append_new (l->ids, json_integer (id));
    json_array_append_new (l->offsets, json_integer (*offset));
    *offset += wb_token_characters (l->m, id);
    json_array_append_new (l->logprobs, r != NULL ? number (r->logprob) : json_null ());
    json_t *likely = r != NULL ? json_object () : json_null ();
    for (int i = 0; r != NULL && i <= r->nlikely; i++) { /* the token itself is one of them, also where it is not */
        json_t *key = wb_token_text (l->m, i < r->nlikely ? r->likely[i].id : id);
        if (key != NULL && json_object_get (likely, json_string_value (key)) == NULL)
            json_object_set_new (likely, json_string_value (key),
                                 number (i < r->nlikely ? r->likely[i].logprob : r->logprob));
        json_decref (key);
    }
    json_array_append_new (l->likely, likely);
}

json_t *wb_logprobs (const wb_served_t *m, const wb_job_t *job, const wb_choice_t *choice, int64_t from,
                     int64_t *offset) {
    lists_t l = {m, json_array (), json_array (), json_array (), json_array (), json_array ()};
    for (int64_t i = 0; job != NULL && i < job->ids.len && i <= job->records.len; i++)
        put (&l, job->ids.data[i], i > 0 ? &job->records.data[i - 1] : NULL, offset);
    for (int64_t i = from; i < choice->records.len; i++)
        put (&l, choice->records.data[i].id, &choice->records.data[i], offset);
    return json_pack ("{s:o,s:o,s:o,s:o,s:o}", "tokens", l.tokens, "token_logprobs", l.logprobs, "top_logprobs",
                      l.likely, "text_offset", l.offsets, "token_ids", l.ids);
}

/* ---- of a conversation ------------------------------------------------------------------------------------------- */

static json_t *rated (const wb_served_t *m, int32_t id, float logprob) {
    const char *bytes;
    size_t n;
    json_t *list = json_array ();
    piece_of (m, &bytes, &n, id);
    for (size_t i = 0; i < n; i++) json_array_append_new (list, json_integer ((unsigned char) bytes[i]));
    return json_pack ("{s:o,s:o,s:o}", "token", wb_token_text (m, id), "logprob", number (logprob), "bytes", list);
}

json_t *wb_chat_logprobs (const wb_served_t *m, const wb_choice_t *choice, int64_t from) {
    json_t *content = json_array ();
    for (int64_t i = from; i < choice->records.len; i++) {
        const wb_rated_t *r = &choice->records.data[i];
        json_t *o = rated (m, r->id, r->logprob), *likely = json_array ();
        for (int k = 0; k < r->nlikely; k++)
            json_array_append_new (likely, rated (m, r->likely[k].id, r->likely[k].logprob));
        json_object_set_new (o, "top_logprobs", likely);
        json_array_append_new (content, o);
    }
    return json_pack ("{s:o,s:n}", "content", content, "refusal");
}
