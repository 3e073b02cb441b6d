/* Results of an evaluation, as columns and as JSON. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/eval.h"

/* ---- columns ----------------------------------------------------------------------------------------------------- */

/* "[low, high]" into buf; "-": unknown. */
static const char *interval (char buf[48], wb_interval_t x) {
    if (isnan (x.low))
        snprintf (buf, 48, "-");
    else
        snprintf (buf, 48, "[%.4f, %.4f]", x.low, x.high);
    return buf;
}

static int width_of (const wb_eval_t *e) {
    int width = 5;
    for (int m = 0; m < e->nmodels; m++)
        if ((int) strlen (e->models[m]) + 2 > width) width = (int) strlen (e->models[m]) + 2;
    return width;
}

static void print_table (const wb_eval_t *e, const wb_eval_table_t *t) {
    char documents[32], bytes[32], chars[32], words[32], tokens[32], range[48];
    const int width = width_of (e);
    printf ("%s: %s document%s, %s bytes, %s characters, %s words\n", t->genre,
            wb_format_count (documents, t->documents), wb_plural (t->documents),
            wb_format_count (bytes, t->counts.bytes), wb_format_count (chars, t->counts.chars),
            wb_format_count (words, t->counts.words));
    printf ("  %-*s %12s %9s  %-18s  %9s %11s %11s %7s\n", width, "model", "tokens", "bits/byte", "95 %", "bits/char",
            "ppl/token", "ppl/word", "ECE");
    for (int m = 0; m < e->nmodels; m++) {
        const wb_eval_row_t *r = &t->rows[m];
        printf ("  %-*s %12s %9.4f  %-18s  %9.4f %11.5g %11.5g %7.4f\n", width, e->models[m],
                wb_format_count (tokens, (int64_t) r->tokens), r->bits_per_byte, interval (range, r->interval),
                r->bits_per_char, r->token_perplexity, r->word_perplexity, r->calibration.error);
    }
    for (int m = 1; m < e->nmodels; m++)
        printf ("  %-*s %12s %+9.4f  %s\n", width, e->models[m], "- the first", t->rows[m].difference,
                interval (range, t->rows[m].difference_interval));
}

static void print_choices (const wb_eval_t *e, const wb_eval_report_t *r) {
    char count[32], range[48];
    const int width = width_of (e);
    printf ("choices: %s question%s\n  %-*s %12s %9s  %-18s %7s  %9s  %-18s %7s\n",
            wb_format_count (count, r->questions), wb_plural (r->questions), width, "model", "", "right", "95 %", "ECE",
            "per byte", "95 %", "ECE");
    for (int m = 0; m < e->nmodels; m++) {
        const wb_eval_choices_t *c = &r->choices[m];
        printf ("  %-*s %12s", width, e->models[m], "");
        for (int by = 0; by < 2; by++)
            printf (" %*s%9.4f  %-18s %7.4f", by, "", c->share[by], interval (range, c->interval[by]),
                    c->calibration[by].error);
        printf ("\n");
    }
    for (int m = 1; m < e->nmodels; m++) {
        const wb_eval_choices_t *c = &r->choices[m], *first = &r->choices[0];
        printf ("  %-*s %12s %+9.4f  %-18s %7s", width, e->models[m], "- the first", c->share[0] - first->share[0],
                interval (range, c->difference[0]), "");
        printf ("  %+9.4f  %s\n", c->share[1] - first->share[1], interval (range, c->difference[1]));
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *number (double x) { return isfinite (x) ? json_real (x) : json_null (); }
/* The error, the means, and of each bin the number, the mean confidence and the share of right ones. */
static json_t *calibration_json (const wb_calibration_result_t *c) {
    json_t *bins = json_array ();
    bool good = bins != NULL;
    for (int i = 0; i < WB_EVAL_BINS; i++) {
        const wb_calibration_bin_t *b = &c->bin[i];
        json_t *one = json_pack ("[I, o, o]", (json_int_t) b->n, number (b->confidence), number (b->right));
        good = good && json_array_append_new (bins, one) == 0;
    }
    json_t *o = json_pack ("{s:o, s:o, s:o, s:o}", "error", number (c->error), "confidence", number (c->confidence),
                           "accuracy", number (c->accuracy), "bins", bins);
    if (good || o == NULL) return o;
    json_decref (o);
    return NULL;
}

static json_t *ends (wb_interval_t x) { return json_pack ("[o, o]", number (x.low), number (x.high)); }

static json_t *model_json (const wb_eval_t *e, const wb_eval_table_t *t, int m) {
    const wb_eval_row_t *r = &t->rows[m];
    json_t *o = json_pack ("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model", e->models[m], "tokens",
                           (json_int_t) r->tokens, "nats", number (r->nats), "bits_per_byte", number (r->bits_per_byte),
                           "interval", ends (r->interval), "bits_per_character", number (r->bits_per_char),
                           "perplexity_per_token", number (r->token_perplexity), "perplexity_per_word",
                           number (r->word_perplexity), "calibration", calibration_json (&r->calibration));
    if (o == NULL || m == 0) return o;
    json_t *minus = json_pack ("{s:s, s:o, s:o}", "model", e->models[0], "bits_per_byte", number (r->difference),
                               "interval", ends (r->difference_interval));
    if (json_object_set_new (o, "difference_from", minus) == 0) return o;
    json_decref (o);
    return NULL;
}

static json_t *table_json (const wb_eval_t *e, const wb_eval_table_t *t) {
    json_t *models = json_array ();
    bool good = models != NULL;
    for (int m = 0; m < e->nmodels; m++) good = good && json_array_append_new (models, model_json (e, t, m)) == 0;
    json_t *o = json_pack ("{s:s, s:I, s:I, s:I, s:I, s:o}", "genre", t->genre, "documents", (json_int_t) t->documents,
                           "bytes", (json_int_t) t->counts.bytes, "characters", (json_int_t) t->counts.chars, "words",
                           (json_int_t) t->counts.words, "models", models);
    if (good || o == NULL) return o;
    json_decref (o);
    return NULL;
}

static json_t *choices_json (const wb_eval_t *e, const wb_eval_report_t *r) {
    json_t *models = json_array ();
    bool good = models != NULL;
    for (int m = 0; m < e->nmodels; m++) {
        const wb_eval_choices_t *c = &r->choices[m];
        json_t *o = json_pack ("{s:s, s:f, s:o, s:f, s:o, s:o, s:o}", "model", e->models[m], "accuracy", c->share[0],
                               "interval", ends (c->interval[0]), "accuracy_per_byte", c->share[1], "interval_per_byte",
                               ends (c->interval[1]), "calibration", calibration_json (&c->calibration[0]),
                               "calibration_per_byte", calibration_json (&c->calibration[1]));
        if (m > 0 && o != NULL) {
            json_t *minus = json_pack ("{s:s, s:f, s:o, s:f, s:o}", "model", e->models[0], "accuracy",
                                       c->share[0] - r->choices[0].share[0], "interval", ends (c->difference[0]),
                                       "accuracy_per_byte", c->share[1] - r->choices[0].share[1], "interval_per_byte",
                                       ends (c->difference[1]));
            good = good && json_object_set_new (o, "difference_from", minus) == 0;
        }
        good = good && json_array_append_new (models, o) == 0;
    }
    json_t *all = json_pack ("{s:I, s:o}", "questions", (json_int_t) r->questions, "models", models);
    if (good || all == NULL) return all;
    json_decref (all);
    return NULL;
}

static wb_status print_json (const wb_eval_t *e, const wb_eval_report_t *r) {
    json_t *list = json_array ();
    bool good = list != NULL;
    for (int64_t i = 0; i < r->ntables; i++)
        good = good && json_array_append_new (list, table_json (e, &r->tables[i])) == 0;
    json_t *stride = e->stride > 0 ? json_integer (e->stride) : json_null ();
    json_t *all = json_pack ("{s:o, s:b, s:I, s:i, s:o}", "stride", stride, "end", (int) !e->exclude_end, "seed",
                             (json_int_t) e->seed, "resamples", WB_EVAL_RESAMPLES, "text", list);
    if (r->questions > 0) good = good && all != NULL && json_object_set_new (all, "choices", choices_json (e, r)) == 0;
    char *text = good && all != NULL ? json_dumps (all, JSON_INDENT (1) | JSON_REAL_PRECISION (10)) : NULL;
    if (text != NULL) printf ("%s\n", text);
    good = text != NULL;
    wb_free_foreign (text);
    json_decref (all);
    return good ? WB_OK : WB_NOMEM ("results");
}

wb_status wb_eval_print (const wb_eval_t *e, const wb_eval_report_t *r) {
    if (e->json) WB_TRY (print_json (e, r));
    for (int64_t i = 0; i < r->ntables && !e->json; i++) print_table (e, &r->tables[i]);
    if (r->questions > 0 && !e->json) print_choices (e, r);
    return wb_flush (stdout, "standard output");
}
