/* Conversations: a model's chat.json (README, "The API over HTTP") goes with it, and is written as a template too.
 *
 * chat_template.jinja is what transformers' apply_chat_template() and the servers of others read:
 * https://huggingface.co/docs/transformers/chat_templating.  `stop` has no place there.
 *
 * Not here: what wabun itself makes of chat.json (serve). */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"
#include "wabun/json.h"

#define FILE_NAME "chat.json"
static const char content_mark[] = "{content}";

/* Text as a literal of Jinja, which reads the escapes of JSON.  Empty text: nothing. */
static wb_status put_literal (wb_buf_t *b, const char *before, const char *text, size_t n, const char *after) {
    if (n == 0) return WB_OK;
    json_t *s = json_stringn (text, n);
    char *literal = json_dumps (s, JSON_ENCODE_ANY);
    json_decref (s);
    if (literal == NULL) return WB_NOMEM (FILE_NAME);
    wb_status status = wb_buf_put (b, before, strlen (before));
    if (status == WB_OK) status = wb_buf_put (b, literal, strlen (literal));
    if (status == WB_OK) status = wb_buf_put (b, after, strlen (after));
    wb_free_foreign (literal);
    return status;
}

static wb_status put (wb_buf_t *b, const char *text) { return wb_buf_put (b, text, strlen (text)); }

/* A message of a role: the text around its content. */
static wb_status put_role (wb_buf_t *b, const json_t *chat, const char *role) {
    const char *text = json_string_value (json_object_get (chat, role));
    const char *at = text != NULL ? strstr (text, content_mark) : NULL;
    if (at == NULL) return WB_OK;
    const char *rest = at + strlen (content_mark);
    char *test = wb_format ("{%%- if message['role'] == '%s' %%}{{ ", role);
    wb_status status = test != NULL ? put (b, test) : WB_NOMEM (FILE_NAME);
    wb_free (test);
    if (status == WB_OK) status = put_literal (b, "", text, (size_t) (at - text), " + ");
    if (status == WB_OK) status = put (b, "message['content']");
    if (status == WB_OK) status = put_literal (b, " + ", rest, strlen (rest), "");
    return status == WB_OK ? put (b, " }}{%- endif %}") : status;
}

static wb_status put_template (wb_buf_t *b, const json_t *chat) {
    static const char *const roles[] = {"system", "user", "assistant"};
    const char *begin = json_string_value (json_object_get (chat, "begin")),
               *reply = json_string_value (json_object_get (chat, "reply"));
    if (begin != NULL) WB_TRY (put_literal (b, "{{ ", begin, strlen (begin), " }}"));
    WB_TRY (put (b, "{%- for message in messages %}"));
    for (int i = 0; i < 3; i++) WB_TRY (put_role (b, chat, roles[i]));
    WB_TRY (put (b, "{%- endfor %}"));
    if (reply != NULL)
        WB_TRY (put_literal (b, "{%- if add_generation_prompt %}{{ ", reply, strlen (reply), " }}{%- endif %}"));
    return WB_OK;
}

wb_status wb_chat_files (const wb_outdir_t *d, const char *directory) {
    if (directory == NULL) return WB_OK;
    char *path = wb_format ("%s/" FILE_NAME, directory), *data = NULL;
    size_t n;
    if (path == NULL) return WB_NOMEM (FILE_NAME);
    if (!wb_file_exists (path)) {
        wb_free (path);
        return WB_OK;
    }
    wb_status status = wb_file_read (&data, &n, path);
    json_t *chat = status == WB_OK ? wb_json_load (data, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (status == WB_OK && !json_is_object (chat))
        status = WB_FAIL (WB_EDATA, "%s: no JSON object: `wabun serve` says what it must be", path);
    wb_buf_t template = {0};
    if (status == WB_OK) status = put_template (&template, chat);
    if (status == WB_OK) status = wb_outdir_text (d, FILE_NAME, data, n);
    if (status == WB_OK) status = wb_outdir_text (d, "chat_template.jinja", template.data, template.len);
    wb_buf_fini (&template);
    json_decref (chat);
    wb_free (data);
    wb_free (path);
    return status;
}
