/* wabun transform: the vector of a text: the state behind the final LayerNorm at its last position.
 *
 * Lines of a file run together, each as a sequence of its own; only their last rows are kept. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "wabun/infer.h"

enum { SEQS = 16, ROWS = 512, LEAST_T = 64 };
#define MOST_BYTES ((size_t) 512 << 20) /* of keys, values and activations */

typedef struct options {
    wb_using_t using;
    const char *context, *input;
} options_t;

typedef struct transformer {
    const wb_model_t *m;
    wb_infer_t *inf;
    int64_t T, max_rows; /* of inf */
    int B;
    float *hidden; /* [max_rows, C] */
    wb_ids_t ids;  /* of the texts to be run together, one after the other */
    int64_t counts[SEQS];
    int n;
} transformer_t;

static wb_status read_options (options_t *p, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    *p = (options_t){0};
    while (wb_opts_next (&o)) {
        bool taken;
        WB_TRY (wb_using_option (&p->using, &o, &taken));
        if (taken) continue;
        if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &p->context));
        else if (wb_opts_is (&o, "--input"))
            WB_TRY (wb_opts_text (&o, &p->input));
        else
            return wb_opts_unknown (&o);
    }
    if ((p->context == NULL) == (p->input == NULL))
        return WB_FAIL (WB_EUSAGE, "transform wants --context TEXT, or --input FILE with a text on each line (- is the "
                                   "standard input)");
    if (p->context != NULL && p->context[0] == 0)
        return WB_FAIL (WB_EUSAGE, "--context is empty: a text without tokens has no vector");
    return WB_OK;
}

static void shut (transformer_t *t) {
    wb_infer_destroy (t->inf);
    wb_free (t->hidden);
    t->inf = NULL;
    t->hidden = NULL;
}

static wb_status make_room (transformer_t *t, int64_t need) {
    wb_size_t size = t->m->size;
    if (t->inf != NULL && need <= t->T) return WB_OK;
    shut (t);
    t->T = LEAST_T;
    while (t->T < need) t->T *= 2;
    if (t->T > size.T) t->T = size.T;
    t->max_rows = t->T < ROWS ? ROWS : t->T;
    size.T = t->T;
    for (t->B = SEQS; t->B > 1 && wb_infer_bytes (&size, t->B, t->max_rows) > MOST_BYTES;) t->B--;
    t->hidden = wb_malloc ((size_t) (t->max_rows * size.C) * sizeof *t->hidden);
    if (t->hidden == NULL) return WB_NOMEM ("%lld tokens", (long long) t->max_rows);
    return wb_infer_new (&t->inf, &size, t->m->params, t->m->weights, t->m->kern, t->B, t->max_rows);
}

static wb_status print_vector (const float *x, int64_t C) {
    for (int64_t i = 0; i < C; i++)
        if (!isfinite (x[i])) return WB_FAIL (WB_ENUMERIC, "the vector is no numbers: the weights are damaged");
    for (int64_t i = 0; i < C; i++) printf ("%s%.9g", i == 0 ? "[" : ", ", (double) x[i]);
    printf ("]\n");
    return WB_OK;
}

/* Run the texts that were gathered and print their vectors; ids behind theirs stay. */
static wb_status run_texts (transformer_t *t) {
    int seqs[SEQS];
    int64_t end = 0;
    wb_status status = WB_OK;
    if (t->n == 0) return WB_OK;
    for (int i = 0; i < t->n; i++) {
        seqs[i] = i;
        wb_infer_rewind (t->inf, i, 0);
    }
    wb_infer_push (t->inf, t->hidden, NULL, t->ids.data, seqs, t->counts, t->n);
    for (int i = 0; i < t->n; i++) {
        end += t->counts[i];
        if (status == WB_OK) status = print_vector (t->hidden + (end - 1) * t->m->size.C, t->m->size.C);
    }
    t->n = 0;
    t->ids.len -= end;
    memmove (t->ids.data, t->ids.data + end, (size_t) t->ids.len * sizeof *t->ids.data);
    return status == WB_OK ? wb_flush (stdout, "standard output") : status;
}

/* Take a text into the batch; what does not fit beside the others waits until those are done. */
static wb_status take (transformer_t *t, const char *text, size_t bytes, const char *name, int64_t number) {
    const int64_t T = t->m->size.T, before = t->ids.len;
    WB_TRY (wb_tokenizer_encode (t->m->tokenizer, &t->ids, text, bytes, false));
    int64_t n = t->ids.len - before;
    if (n == 0) {
        WB_TRY (run_texts (t)); /* the lines before it have one */
        return WB_FAIL (WB_EDATA, "%s:%lld: an empty line has no vector", name, (long long) number);
    }
    if (n > T) {
        wb_warn ("%s:%lld: the text has %lld tokens, the model %lld positions: the last %lld are used", name,
                 (long long) number, (long long) n, (long long) T, (long long) T);
        memmove (t->ids.data + before, t->ids.data + before + n - T, (size_t) T * sizeof *t->ids.data);
        n = T;
        t->ids.len = before + n;
    }
    if (t->n > 0 && (n > t->T || t->n == t->B || before + n > t->max_rows)) WB_TRY (run_texts (t));
    WB_TRY (make_room (t, n));
    t->counts[t->n++] = n;
    return WB_OK;
}

static wb_status transform_lines (transformer_t *t, const char *path) {
    wb_lines_t in;
    bool told = false;
    WB_TRY (wb_lines_open (&in, path));
    wb_status status;
    for (;;) {
        const char *text;
        size_t n;
        status = wb_lines_next (&in, &text, &n, t->n == 0);
        if (status != WB_OK) break;
        if (text != NULL) {
            wb_text_warn (in.name, text, n, &told);
            status = take (t, text, n, in.name, in.number);
        } else if (t->n > 0) {
            status = run_texts (t);
        } else {
            break;
        }
        if (status != WB_OK) break;
    }
    wb_lines_close (&in);
    return status;
}

static wb_status run (int argc, char **argv) {
    options_t p;
    wb_model_t *m;
    WB_TRY (read_options (&p, argc, argv));
    WB_TRY (wb_using_open (&m, &p.using, argv[0]));
    transformer_t t = {.m = m};
    wb_status status;
    if (p.input != NULL) {
        status = transform_lines (&t, p.input);
    } else {
        status = take (&t, p.context, strlen (p.context), "--context", 1);
        if (status == WB_OK) status = run_texts (&t);
    }
    shut (&t);
    wb_ids_fini (&t.ids);
    wb_model_destroy (m);
    return status;
}

const wb_cmd_t wb_cmd_transform = {
    .name = "transform",
    .usage = "--model DIR --context TEXT | --input FILE",
    .line = "give the vectors of texts",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text = "  --model DIR       as in wabun generate; also --tokenizer, --threads\n"
            "  --context TEXT    the text\n"
            "  --input FILE      one text a line; - is the standard input\n"
            "\n"
            "Prints, for each text, the state behind the last layer at the last position as a JSON list.\n",
};
