/* wabun score: log-probabilities of lines.
 *
 * A line is scored as the model was trained: <|endoftext|>, the line, <|endoftext|>; every token but the first is a
 * target. Lines run together, each as a sequence of its own, so that the linears see many rows.  A line longer than the
 * model's positions is scored by windows that overlap by half: a later window scores what lies behind the overlap. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/infer.h"

enum { LINES = 128, SEQS = 32, ROWS = 512, LEAST_T = 64 };
#define MOST_BYTES ((size_t) 512 << 20) /* of keys, values and activations */

typedef struct options {
    wb_using_t using;
    const char *file;
    bool tokens, exclude_end;
} options_t;

typedef struct line {
    size_t text, bytes; /* in scorer.text */
    int64_t ids, n;     /* in scorer.ids: <|endoftext|>, the line, perhaps <|endoftext|> */
    int64_t number;
} line_t;

/* A piece of a line that goes through the model at once: `count` inputs from ids[first]; of their targets (one place
 * later) all but the first `skip` are scored. */
typedef struct window {
    int64_t first, count, skip;
} window_t;

typedef struct scorer {
    const wb_model_t *m;
    const options_t *p;
    wb_infer_t *inf;
    int64_t T, max_rows; /* of inf */
    int B;
    float *hidden;    /* [max_rows, C] */
    int32_t *row_ids; /* [max_rows] what is pushed, then what is scored */
    float *found;     /* [max_rows] */
    wb_lines_t in;
    bool told; /* that a line is not UTF-8 */
    line_t lines[LINES];
    int n;
    wb_buf_t text;
    wb_ids_t ids;
    float *logprob; /* of ids[i], given what stands before it */
    int64_t logprobs;
    wb_buf_t out;
    wb_stream_t *stream;
} scorer_t;

static wb_status read_options (options_t *p, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    *p = (options_t){0};
    while (wb_opts_next (&o)) {
        bool taken;
        WB_TRY (wb_using_option (&p->using, &o, &taken));
        if (taken) continue;
        if (wb_opts_is (&o, "--tokens"))
            WB_TRY (wb_opts_flag (&o, &p->tokens));
        else if (wb_opts_is (&o, "--exclude-end"))
            WB_TRY (wb_opts_flag (&o, &p->exclude_end));
        else if (wb_opts_is_file (&o) && p->file == NULL)
            p->file = o.arg;
        else
            return wb_opts_unknown (&o);
    }
    if (p->file == NULL) return WB_FAIL (WB_EUSAGE, "score wants a FILE of lines, or - for the standard input");
    return WB_OK;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Lines that are there: at least one, if any comes. */
static wb_status read_lines (scorer_t *s) {
    const int32_t eot = wb_tokenizer_eot (s->m->tokenizer);
    const char *text;
    size_t n;
    s->n = 0;
    wb_buf_clear (&s->text);
    wb_ids_clear (&s->ids);
    while (s->n < LINES && s->ids.len < 4 * s->m->size.T + 4096) {
        WB_TRY (wb_lines_next (&s->in, &text, &n, s->n == 0));
        if (text == NULL) break;
        wb_text_warn (s->in.name, text, n, &s->told);
        line_t *l = &s->lines[s->n++];
        *l = (line_t){.text = s->text.len, .bytes = n, .ids = s->ids.len, .number = s->in.number};
        WB_TRY (wb_buf_put (&s->text, text, n));
        WB_TRY (wb_ids_put (&s->ids, eot));
        WB_TRY (wb_tokenizer_encode (s->m->tokenizer, &s->ids, text, n, false));
        if (!s->p->exclude_end) WB_TRY (wb_ids_put (&s->ids, eot));
        l->n = s->ids.len - l->ids;
    }
    return WB_OK;
}

/* ---- scoring --------------------------------------------------------------------------------------------------- */

static void shut (scorer_t *s) {
    wb_infer_destroy (s->inf);
    wb_free (s->hidden);
    wb_free (s->row_ids);
    wb_free (s->found);
    s->inf = NULL;
    s->hidden = s->found = NULL;
    s->row_ids = NULL;
}

/* An inference object for sequences of at most `need` positions: short lines leave room for more of them. */
static wb_status make_room (scorer_t *s, int64_t need) {
    wb_size_t size = s->m->size;
    if (s->inf != NULL && need <= s->T) return WB_OK;
    shut (s);
    s->T = LEAST_T;
    while (s->T < need) s->T *= 2;
    if (s->T > size.T) s->T = size.T;
    s->max_rows = s->T < ROWS ? ROWS : s->T;
    size.T = s->T;
    for (s->B = SEQS; s->B > 1 && wb_infer_bytes (&size, s->B, s->max_rows) > MOST_BYTES;) s->B--;
    s->hidden = wb_malloc ((size_t) (s->max_rows * size.C) * sizeof *s->hidden);
    s->row_ids = wb_malloc ((size_t) s->max_rows * sizeof *s->row_ids);
    s->found = wb_malloc ((size_t) s->max_rows * sizeof *s->found);
    if (s->hidden == NULL || s->row_ids == NULL || s->found == NULL)
        return WB_NOMEM ("%lld tokens at a time", (long long) s->max_rows);
    return wb_infer_new (&s->inf, &size, s->m->params, s->m->weights, s->m->kern, s->B, s->max_rows);
}

/* Run windows together and put down what was found. */
static void run_windows (scorer_t *s, const window_t *w, int n) {
    const int64_t C = s->m->size.C;
    int seqs[SEQS];
    int64_t counts[SEQS], rows = 0, scored = 0;
    if (n < 1) return;
    for (int i = 0; i < n; i++) {
        memcpy (s->row_ids + rows, s->ids.data + w[i].first, (size_t) w[i].count * sizeof (int32_t));
        seqs[i] = i;
        counts[i] = w[i].count;
        rows += w[i].count;
        wb_infer_rewind (s->inf, i, 0);
    }
    wb_infer_push (s->inf, s->hidden, NULL, s->row_ids, seqs, counts, n);
    rows = 0;
    for (int i = 0; i < n; i++) { /* only the rows that are scored go to the output layer */
        const int64_t some = w[i].count - w[i].skip;
        memmove (s->hidden + scored * C, s->hidden + (rows + w[i].skip) * C, (size_t) (some * C) * sizeof (float));
        memcpy (s->row_ids + scored, s->ids.data + w[i].first + w[i].skip + 1, (size_t) some * sizeof (int32_t));
        rows += w[i].count;
        scored += some;
    }
    wb_infer_logprobs (s->inf, s->found, s->hidden, s->row_ids, scored);
    scored = 0;
    for (int i = 0; i < n; i++) {
        const int64_t some = w[i].count - w[i].skip;
        memcpy (s->logprob + w[i].first + w[i].skip + 1, s->found + scored, (size_t) some * sizeof (float));
        scored += some;
    }
}

static wb_status score_lines (scorer_t *s) {
    window_t group[SEQS];
    int n = 0;
    int64_t rows = 0, longest = 1;
    if (s->logprobs < s->ids.len) {
        float *more = wb_realloc (s->logprob, (size_t) s->ids.len * sizeof *more);
        if (more == NULL) return WB_NOMEM ("%lld tokens", (long long) s->ids.len);
        s->logprob = more;
        s->logprobs = s->ids.len;
    }
    for (int i = 0; i < s->n; i++)
        if (s->lines[i].n - 1 > longest) longest = s->lines[i].n - 1;
    WB_TRY (make_room (s, longest < s->m->size.T ? longest : s->m->size.T));

    for (int i = 0; i < s->n; i++) {
        const int64_t inputs = s->lines[i].n - 1;
        int64_t done = 0;
        while (done < inputs) {
            const int64_t overlap = done > 0 ? s->m->size.T / 2 : 0, begin = done - overlap;
            const int64_t count = inputs - begin < s->m->size.T ? inputs - begin : s->m->size.T;
            if (n == s->B || rows + count > s->max_rows) {
                run_windows (s, group, n);
                n = 0;
                rows = 0;
            }
            group[n++] = (window_t){.first = s->lines[i].ids + begin, .count = count, .skip = overlap};
            rows += count;
            done = begin + count;
        }
    }
    run_windows (s, group, n);
    return WB_OK;
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

static wb_status put (wb_buf_t *b, const char *text) { return wb_buf_put (b, text, strlen (text)); }

/* One line for each target: the text the token completes (none while a character is unfinished), tab, log-probability.
 */
static wb_status print_tokens (scorer_t *s, const line_t *l) {
    const int32_t eot = wb_tokenizer_eot (s->m->tokenizer);
    char number[32];
    wb_buf_t piece = {0};
    wb_status status = WB_OK;
    for (int64_t i = 1; i < l->n && status == WB_OK; i++) {
        const int32_t id = s->ids.data[l->ids + i];
        const bool ends = i + 1 == l->n || s->ids.data[l->ids + i + 1] == eot;
        wb_buf_clear (&piece);
        status = wb_stream_put (s->stream, &piece, id, ends);
        for (size_t k = 0; k < piece.len && status == WB_OK; k++) {
            const char c = piece.data[k];
            status = c == '\n' ? put (&s->out, "\\n") : c == '\t' ? put (&s->out, "\\t") : wb_buf_put (&s->out, &c, 1);
        }
        snprintf (number, sizeof number, "\t%.5g\n", (double) s->logprob[l->ids + i]);
        if (status == WB_OK) status = put (&s->out, number);
    }
    wb_buf_fini (&piece);
    return status;
}

static wb_status print_lines (scorer_t *s) {
    char number[32];
    wb_status status = WB_OK;
    wb_buf_clear (&s->out);
    for (int i = 0; i < s->n && status == WB_OK; i++) {
        const line_t *l = &s->lines[i];
        double sum = 0.0;
        for (int64_t k = 1; k < l->n; k++) sum += (double) s->logprob[l->ids + k];
        if (!isfinite (sum)) {
            status = WB_FAIL (WB_ENUMERIC, "%s:%lld: the log-probability is no number: the weights are damaged",
                              s->in.name, (long long) l->number);
            break;
        }
        if (s->p->tokens) status = print_tokens (s, l);
        snprintf (number, sizeof number, "\t%.5g\n", sum);
        if (status == WB_OK) status = wb_buf_put (&s->out, s->text.data + l->text, l->bytes);
        if (status == WB_OK) status = put (&s->out, number);
    }
    fwrite (s->out.data, 1, s->out.len, stdout);
    const wb_status written = wb_flush (stdout, "standard output");
    return status != WB_OK ? status : written;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static wb_status run (int argc, char **argv) {
    options_t p;
    wb_model_t *m;
    WB_TRY (read_options (&p, argc, argv));
    WB_TRY (wb_using_open (&m, &p.using, argv[0]));
    scorer_t s = {.m = m, .p = &p};
    wb_status status = wb_lines_open (&s.in, p.file);
    if (status == WB_OK) status = wb_stream_new (&s.stream, m->tokenizer);
    while (status == WB_OK) {
        status = read_lines (&s);
        if (status != WB_OK || s.n == 0) break;
        status = score_lines (&s);
        if (status == WB_OK) status = print_lines (&s);
    }
    wb_lines_close (&s.in);
    shut (&s);
    wb_stream_destroy (s.stream);
    wb_buf_fini (&s.text);
    wb_buf_fini (&s.out);
    wb_ids_fini (&s.ids);
    wb_free (s.logprob);
    wb_model_destroy (m);
    return status;
}

const wb_cmd_t wb_cmd_score = {
    .name = "score",
    .usage = "--model DIR [--tokens] [--exclude-end] FILE|-",
    .line = "give the log-probability of texts",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text = "  --model DIR       as in wabun generate; also --tokenizer, --threads\n"
            "  --tokens          the tokens one by one\n"
            "  --exclude-end     do not count <|endoftext|> behind the text\n"
            "  FILE              one text a line; - is the standard input\n"
            "\n"
            "Prints text, tab, log-probability (nats) as %.5g.  A line longer than the model's context is scored by\n"
            "windows that overlap by half.\n",
};
