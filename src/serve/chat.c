/* Conversations: what a model makes of messages, by a file of its own, chat.json.
 *
 *     {"begin": "", "system": "指示: {content}\n", "user": "人: {content}\n",
 *      "assistant": "AI: {content}<|endoftext|>\n", "reply": "AI: ", "stop": ["\n"]}
 *
 * A message is the text of its role with the content in its place; after all of them comes `reply`, and the model goes
 * on from there until it ends the text or writes one of `stop`.  <|endoftext|> in these texts is the token; a content
 * with these characters is refused, as some tokenizers would read the token in it.  system, begin and stop may be left
 * out.  A model without this file was not trained for conversations and is not asked to have one.
 *
 * Not here: the templates of other programs, which are programs themselves (Jinja). */
#include "config.h"

#include <string.h>

#include "serve/serve_priv.h"
#include "wabun/json.h"

static const char content_mark[] = "{content}", end_mark[] = "<|endoftext|>";
static const char *const roles[WB_CHAT_ROLES] = {"system", "user", "assistant"};

/* ---- the file ---------------------------------------------------------------------------------------------------- */

void wb_chat_destroy (wb_chat_t *t) {
    if (t == NULL) return;
    json_decref (t->json);
    wb_free (t);
}

/* The text of a name; NULL: it is not there, or *status is an error. */
static const char *text_of (const wb_chat_t *t, const char *path, const char *name, bool needed, wb_status *status) {
    const json_t *v = json_object_get (t->json, name);
    if (*status != WB_OK || (v == NULL && !needed)) return NULL;
    if (json_is_string (v)) return json_string_value (v);
    *status = WB_FAIL (WB_EDATA, "%s: \"%s\" must be a text", path, name);
    return NULL;
}

static wb_status read_role (wb_chat_t *t, const char *path, int i) {
    wb_status status = WB_OK;
    t->role[i] = text_of (t, path, roles[i], i > 0, &status);
    if (status != WB_OK || t->role[i] == NULL) return status;
    const char *at = strstr (t->role[i], content_mark);
    if (at != NULL && strstr (at + 1, content_mark) == NULL) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: \"%s\" must have %s in it, once", path, roles[i], content_mark);
}

static wb_status read_stops (wb_chat_t *t, const char *path) {
    const json_t *list = json_object_get (t->json, "stop");
    bool good = list == NULL || (json_is_array (list) && json_array_size (list) <= WB_CHAT_STOPS);
    for (size_t i = 0; good && i < json_array_size (list); i++) {
        const char *text = json_string_value (json_array_get (list, i));
        good = text != NULL && *text != 0;
        t->stops[t->nstops++] = text;
    }
    return good ? WB_OK
                : WB_FAIL (WB_EDATA, "%s: \"stop\" must be a list of at most %d texts", path, (int) WB_CHAT_STOPS);
}

static wb_status read_names (const wb_chat_t *t, const char *path) {
    static const char *const names[] = {"begin", "system", "user", "assistant", "reply", "stop"};
    const char *name;
    json_t *v;
    json_object_foreach (t->json, name, v) {
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) known = known || strcmp (name, names[i]) == 0;
        if (!known)
            return WB_FAIL (WB_EDATA,
                            "%s: there is no \"%.60s\": a template has begin, system, user, assistant, reply "
                            "and stop",
                            path, name);
    }
    return WB_OK;
}

static wb_status read_template (wb_chat_t *t, const char *path) {
    char *data;
    size_t n;
    json_error_t e;
    WB_TRY (wb_file_read (&data, &n, path));
    t->json = wb_json_load (data, n, JSON_REJECT_DUPLICATES, &e);
    wb_free (data);
    if (t->json == NULL) return WB_FAIL (WB_EDATA, "%s:%d: %s", path, e.line, e.text);
    if (!json_is_object (t->json)) return WB_FAIL (WB_EDATA, "%s: is no JSON object", path);
    wb_status status = read_names (t, path);
    for (int i = 0; status == WB_OK && i < WB_CHAT_ROLES; i++) status = read_role (t, path, i);
    t->begin = text_of (t, path, "begin", false, &status);
    t->reply = text_of (t, path, "reply", true, &status);
    return status == WB_OK ? read_stops (t, path) : status;
}

wb_status wb_chat_read (wb_chat_t **out, const char *model) {
    char *dir = wb_dir_latest (model), *path = dir != NULL ? wb_format ("%s/chat.json", dir) : NULL;
    wb_status status = path != NULL ? WB_OK : WB_NOMEM ("model %s", model);
    *out = NULL;
    if (status == WB_OK && wb_file_exists (path)) {
        wb_chat_t *t = wb_calloc (1, sizeof *t);
        status = t != NULL ? read_template (t, path) : WB_NOMEM ("%s", path);
        if (status == WB_OK)
            *out = t;
        else
            wb_chat_destroy (t);
    }
    wb_free (dir);
    wb_free (path);
    return status;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* The text of a message: a text, or a list of parts that are texts.  False: it is something else. */
static bool put_content (wb_buf_t *out, const json_t *content, wb_status *status) {
    if (json_is_string (content)) {
        *status = wb_buf_put (out, json_string_value (content), json_string_length (content));
        return true;
    }
    bool good = json_is_array (content);
    for (size_t i = 0; good && *status == WB_OK && i < json_array_size (content); i++) {
        const json_t *part = json_array_get (content, i), *text = json_object_get (part, "text");
        const char *type = json_string_value (json_object_get (part, "type"));
        good = type != NULL && strcmp (type, "text") == 0 && json_is_string (text);
        if (good) *status = wb_buf_put (out, json_string_value (text), json_string_length (text));
    }
    return good;
}

/* Message i, as its role has it.  False: answered. */
static bool put_message (wb_exchange_t *x, const wb_chat_t *t, wb_buf_t *out, size_t i) {
    const json_t *m = json_array_get (json_object_get (x->json, "messages"), i);
    const char *name = json_string_value (json_object_get (m, "role"));
    int r = 0;
    if (name != NULL && strcmp (name, "developer") == 0) name = roles[0];
    while (r < WB_CHAT_ROLES && (name == NULL || strcmp (name, roles[r]) != 0)) r++;
    if (r == WB_CHAT_ROLES || t->role[r] == NULL) {
        wb_answer_error (x, 400, "messages", NULL,
                         "message %zu has the role `%.40s`: this model knows %suser and assistant", i + 1,
                         name != NULL ? name : "", t->role[0] != NULL ? "system, " : "");
        return false;
    }
    const char *at = strstr (t->role[r], content_mark);
    wb_status status = wb_buf_put (out, t->role[r], (size_t) (at - t->role[r]));
    const size_t from = out->len;
    if (status == WB_OK && !put_content (out, json_object_get (m, "content"), &status)) {
        wb_answer_error (x, 400, "messages", NULL, "message %zu: content must be a text", i + 1);
        return false;
    }
    if (status == WB_OK && memmem (out->data + from, out->len - from, end_mark, sizeof end_mark - 1) != NULL) {
        wb_answer_error (x, 400, "messages", NULL, "message %zu has %s in it, which ends a text", i + 1, end_mark);
        return false;
    }
    at += sizeof content_mark - 1;
    if (status == WB_OK) status = wb_buf_put (out, at, strlen (at));
    if (status != WB_OK) wb_answer_failed (x);
    return status == WB_OK;
}

/* Ids of a text, in which <|endoftext|> is the token. */
static wb_status encode (wb_ids_t *ids, const wb_tokenizer_t *t, const char *text, size_t n) {
    const char *const end = text + n;
    while (text < end) {
        const char *at = memmem (text, (size_t) (end - text), end_mark, sizeof end_mark - 1);
        WB_TRY (wb_tokenizer_encode (t, ids, text, (size_t) ((at != NULL ? at : end) - text), false));
        if (at == NULL) break;
        WB_TRY (wb_ids_put (ids, wb_tokenizer_eot (t)));
        text = at + sizeof end_mark - 1;
    }
    return WB_OK;
}

bool wb_chat_prompt (wb_exchange_t *x, const wb_served_t *m, wb_ids_t *ids) {
    const json_t *list = json_object_get (x->json, "messages");
    const wb_chat_t *t = m->chat;
    if (t == NULL) {
        wb_answer_error (x, 400, "model", "no_chat_template",
                         "the model `%.100s` is not for conversations: it has no chat.json (`wabun help serve`).  POST "
                         "/v1/completions goes on from a text",
                         m->name);
        return false;
    }
    if (!json_is_array (list) || json_array_size (list) == 0) {
        wb_answer_error (x, 400, "messages", NULL, "messages must be a list: [{\"role\": \"user\", \"content\": ...}]");
        return false;
    }
    wb_buf_t text = {0};
    wb_status status = t->begin != NULL ? wb_buf_put (&text, t->begin, strlen (t->begin)) : WB_OK;
    bool good = true;
    for (size_t i = 0; status == WB_OK && good && i < json_array_size (list); i++) good = put_message (x, t, &text, i);
    if (good && status == WB_OK) status = wb_buf_put (&text, t->reply, strlen (t->reply));
    if (good && status == WB_OK) status = encode (ids, m->model->tokenizer, text.data, text.len);
    wb_buf_fini (&text);
    if (status != WB_OK) wb_answer_failed (x);
    return good && status == WB_OK;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

json_t *wb_chat_choice (const wb_completion_t *c, const wb_served_t *m, const wb_choice_t *choice, int64_t index) {
    return json_pack ("{s:I,s:{s:s,s:s#,s:n},s:o,s:s}", "index", (json_int_t) index, "message", "role", "assistant",
                      "content", choice->text.len > 0 ? choice->text.data : "", (int) choice->text.len, "refusal",
                      "logprobs", c->logprobs ? wb_chat_logprobs (m, choice, 0) : json_null (), "finish_reason",
                      choice->finish);
}

json_t *wb_chat_delta (int64_t index, bool first, const char *text, size_t n, json_t *logprobs, const char *finish) {
    json_t *delta = json_pack ("{s:s#}", "content", n > 0 ? text : "", (int) n);
    if (first) json_object_set_new (delta, "role", json_string ("assistant"));
    return json_pack ("[{s:I,s:o,s:o,s:s?}]", "index", (json_int_t) index, "delta", delta, "logprobs", logprobs,
                      "finish_reason", finish);
}
