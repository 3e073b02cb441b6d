/* Questions with several answers, from lines of JSON.
 *
 * Not done here: what a model says of them (infer/choices.c). */
#include "config.h"

#include <string.h>

#include "dataset/encode.h"
#include "wabun/json.h"

wb_status wb_bad_lines_parse (wb_bad_lines *out, const char *s) {
    if (s != NULL && strcmp (s, "skip") != 0 && strcmp (s, "stop") != 0)
        return WB_FAIL (WB_EUSAGE, "--bad-lines %s: it is skip or stop", s);
    *out = s == NULL ? WB_BAD_LINES_FEW : s[1] == 'k' ? WB_BAD_LINES_SKIP : WB_BAD_LINES_STOP;
    return WB_OK;
}

void wb_questions_fini (wb_questions_t *q) {
    for (int64_t i = 0; i < q->n; i++) {
        wb_buf_fini (&q->list[i].context);
        wb_buf_fini (&q->list[i].after);
        for (int k = 0; k < q->list[i].nchoices; k++) wb_buf_fini (&q->list[i].choices[k]);
        wb_free (q->list[i].choices);
    }
    wb_free (q->list);
    *q = (wb_questions_t){0};
}

/* The fields are there and of their kinds. */
static bool check (const json_t *line, wb_jsonl_complaint_t *c) {
    const json_t *choices = json_object_get (line, "choices"), *answer = json_object_get (line, "answer");
    size_t n = json_array_size (choices), bytes;
    if (wb_jsonl_text (line, "context", &bytes, c) == NULL) return false;
    c->text[0] = 0;
    if (n < 2 || n > INT16_MAX) snprintf (c->text, sizeof c->text, "\"choices\" is no list of two or more");
    for (size_t i = 0; i < n; i++)
        if (json_string_length (json_array_get (choices, i)) == 0)
            snprintf (c->text, sizeof c->text, "choice %d is no text, or an empty one", (int) i);
    const json_t *after = json_object_get (line, "after");
    if (after != NULL && !json_is_string (after)) snprintf (c->text, sizeof c->text, "\"after\" is no text");
    if (c->text[0] == 0 &&
        (!json_is_integer (answer) || json_integer_value (answer) < 0 || json_integer_value (answer) >= (json_int_t) n))
        snprintf (c->text, sizeof c->text, "\"answer\" is not the number of a choice, 0 to %d", (int) n - 1);
    return c->text[0] == 0;
}

static wb_status put (wb_buf_t *b, const json_t *text) {
    return wb_buf_put (b, json_string_value (text), json_string_length (text));
}

static wb_status take (wb_questions_t *q, const json_t *line) {
    const json_t *choices = json_object_get (line, "choices");
    const size_t n = json_array_size (choices);
    if (!WB_GROW (q->list, q->cap, q->n + 1)) return WB_NOMEM ("questions");
    wb_question_t *one = &q->list[q->n];
    *one = (wb_question_t){.choices = wb_calloc (n, sizeof *one->choices),
                           .answer = (int) json_integer_value (json_object_get (line, "answer"))};
    if (one->choices == NULL) return WB_NOMEM ("questions");
    q->n++;
    one->nchoices = (int) n;
    WB_TRY (put (&one->context, json_object_get (line, "context")));
    WB_TRY (put (&one->after, json_object_get (line, "after")));
    for (size_t i = 0; i < n; i++) WB_TRY (put (&one->choices[i], json_array_get (choices, i)));
    return WB_OK;
}

/* Take a line, or note that it is bad. */
static wb_status take_line (wb_questions_t *q, wb_notes_t *bad, const wb_lines_t *in, const char *s, size_t n,
                            wb_bad_lines rule) {
    wb_jsonl_complaint_t why;
    json_t *line = wb_jsonl_parse (s, n, false, &why);
    WB_TRY (wb_json_status (line));
    const bool good = line != NULL && check (line, &why);
    wb_status status = WB_OK;
    if (good)
        status = take (q, line);
    else if (rule == WB_BAD_LINES_STOP)
        status = WB_FAIL (WB_EDATA, "%s:%lld: %s", in->name, (long long) in->number, why.text);
    else
        wb_note (bad, "%.300s:%lld: %s", in->name, (long long) in->number, why.text);
    json_decref (line);
    return status;
}

static wb_status judge (const wb_questions_t *q, const wb_notes_t *bad, const char *name, wb_bad_lines rule) {
    const int64_t lines = q->n + bad->n;
    wb_notes_print (bad, "lines that cannot be read");
    if (bad->n > 0)
        wb_warn ("%lld of %lld lines left out, which cannot be read", (long long) bad->n, (long long) lines);
    if (bad->n > 100 && bad->n > lines / 100 && rule == WB_BAD_LINES_FEW)
        return WB_FAIL (WB_EDATA,
                        "%lld of %lld lines cannot be read, the first is %s (--bad-lines skip takes the others)",
                        (long long) bad->n, (long long) lines, bad->text[0]);
    if (q->n == 0)
        return WB_FAIL (WB_EDATA,
                        "%s: no question in it%s%s: lines are {\"context\": TEXT, \"choices\": [TEXT, ...], "
                        "\"answer\": 0}",
                        name, bad->n > 0 ? "; " : "", bad->n > 0 ? bad->text[0] : "");
    return WB_OK;
}

wb_status wb_dataset_questions (wb_questions_t *out, const char *path, wb_bad_lines rule) {
    wb_lines_t in;
    wb_notes_t *bad = wb_calloc (1, sizeof *bad);
    *out = (wb_questions_t){0};
    if (bad == NULL) return WB_NOMEM ("questions");
    wb_status status = wb_lines_open (&in, path);
    if (status == WB_OK) {
        const char *s;
        size_t n;
        while ((status = wb_lines_next (&in, &s, &n, true)) == WB_OK && s != NULL) {
            const size_t mark = in.number == 1 ? wb_bom (s, n) : 0;
            s += mark;
            n = wb_jsonl_trim (s, n - mark);
            if (n > 0) status = take_line (out, bad, &in, s, n, rule);
            if (status != WB_OK) break;
        }
        if (status == WB_OK) status = judge (out, bad, in.name, rule);
        wb_lines_close (&in);
    }
    wb_free (bad);
    if (status != WB_OK) wb_questions_fini (out);
    return status;
}
