/* texts in and out of a model: texts from ids, scores, vectors, lines of a file */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/infer.h"

enum { C = 16, V = 257, T = 16, EOT = 256, TEXTS = 300 };

static wb_model_t model = {.size = {2, C, 2, T, V}};

static void make_model (void) {
    wb_layout_t lo;
    T_STATUS (wb_layout_init (&lo, 1, 1, 1, 1, model.size.L, model.size.H, 0, 0), WB_OK);
    wb_layout_place (&lo, 0);
    T_STATUS (wb_params_new (&model.params, &model.size, &lo), WB_OK);
    model.weights = wb_calloc ((size_t) model.params->own, sizeof *model.weights);
    wb_params_init (model.params, model.weights, 1);
    model.kern = wb_kern_ref ();
    T_STATUS (wb_tokenizer_new (&model.tokenizer, "byte"), WB_OK);
}

static void free_model (void) {
    wb_params_destroy (model.params);
    wb_free (model.weights);
    wb_tokenizer_destroy (model.tokenizer);
}

/* ---- texts from ids -------------------------------------------------------------------------------------------- */

typedef struct page {
    char text[256];
    int calls, stop_after;
} page_t;

static wb_status put_piece (void *ctx, int64_t sample, const char *text, size_t n, bool end) {
    page_t *p = ctx;
    const size_t used = strlen (p->text);
    snprintf (p->text + used, sizeof p->text - used, "%lld:%.*s%s", (long long) sample, (int) n, n > 0 ? text : "",
              end ? ". " : " ");
    return ++p->calls == p->stop_after ? WB_ESTOP : WB_OK;
}

static wb_generation_t five = {.samples = 5};

static void write_ids (wb_texts_t *w) {
    static const struct {
        int sample, id;
    } events[] = {{1, 'b'}, {0, 0xe5}, {0, 0x92}, {1, -1}, {2, 'c'}, {0, 0x8c}, {0, -1}, {3, 'd'}, {3, 0xe5}};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        T_STATUS (wb_texts_put (w, events[i].sample, events[i].id, NULL), WB_OK);
}

static void test_pieces (void) {
    wb_texts_t *w;
    page_t page = {0};
    T_STATUS (wb_texts_new (&w, model.tokenizer, &five, false, put_piece, &page), WB_OK);
    write_ids (w);
    T_OK (strcmp (page.text, "0:和. 1:b. ") == 0, "whole texts in order: %s", page.text);
    T_STATUS (wb_texts_finish (w), WB_OK);
    T_OK (strncmp (page.text, "0:和. 1:b. 2:c. 3:d", 20) == 0 && page.calls == 4, "what was begun: %s", page.text);
    wb_texts_destroy (w);

    page = (page_t){0};
    T_STATUS (wb_texts_new (&w, model.tokenizer, &five, true, put_piece, &page), WB_OK);
    write_ids (w);
    T_OK (strcmp (page.text, "1:b 1:. 2:c 0:和 0:. 3:d ") == 0, "pieces as they come: %s", page.text);
    T_STATUS (wb_texts_finish (w), WB_OK);
    T_OK (page.calls == 8, "%d pieces: %s", page.calls, page.text);
    wb_texts_destroy (w);

    page = (page_t){.stop_after = 1};
    T_STATUS (wb_texts_new (&w, model.tokenizer, &five, true, put_piece, &page), WB_OK);
    T_STATUS (wb_texts_put (w, 0, 'a', NULL), WB_ESTOP);
    wb_texts_destroy (w);
}

/* ---- stop strings ------------------------------------------------------------------------------------------------ */

static uint64_t serial;
static int below (int n) { return (int) (wb_rng_u64 (4, 0, serial++) % (uint64_t) n); }

/* Random texts of few letters, in random pieces, against a look at every prefix of the whole. */
static void test_stop (void) {
    int hits = 0;
    for (int round = 0; round < 4000; round++) {
        char text[32], strings[3][8];
        const char *list[3] = {strings[0], strings[1], strings[2]};
        wb_stop_t stop = {.strings = list, .n = below (4)};
        wb_buf_t got = {0};
        const int n = below (31), letters = 2 + below (3);
        int want = n, at = 0;
        for (int i = 0; i < n; i++) text[i] = (char) ('a' + below (letters));
        for (int i = 0; i < stop.n; i++) {
            const int k = 1 + below (5);
            for (int j = 0; j < k; j++) strings[i][j] = (char) ('a' + below (letters));
            strings[i][k] = 0;
        }
        bool hit = false;
        for (int end = 1; end <= n && !hit; end++)
            for (int i = 0; i < stop.n; i++) {
                const int k = (int) strlen (strings[i]);
                if (k > end || memcmp (text + end - k, strings[i], (size_t) k) != 0) continue;
                want = hit && want < end - k ? want : end - k;
                hit = true;
            }
        while (at < n) {
            const int some = 1 + below (n - at);
            T_STATUS (wb_stop_put (&stop, &got, text + at, (size_t) some, false), WB_OK);
            at += some;
            T_OK ((int) got.len <= want, "round %d: no more than the text", round);
        }
        T_STATUS (wb_stop_put (&stop, &got, NULL, 0, true), WB_OK);
        T_OK (stop.hit == hit && (int) got.len == want && (want == 0 || memcmp (got.data, text, got.len) == 0),
              "round %d: %d bytes, not %d of %.*s", round, (int) got.len, want, n, text);
        hits += hit;
        wb_stop_fini (&stop);
        wb_buf_fini (&got);
    }
    T_OK (hits > 500 && hits < 3500, "%d texts ended early", hits);

    /* Of texts: whole and in pieces. */
    const wb_generation_t g = {.samples = 2, .stop = {"終わり"}, .nstop = 1};
    static const char *const words = "これで終わるのは終わりだ";
    for (int stream = 0; stream < 2; stream++) {
        wb_texts_t *w;
        page_t page = {0};
        T_STATUS (wb_texts_new (&w, model.tokenizer, &g, stream, put_piece, &page), WB_OK);
        const char *c = words;
        for (; *c != 0 && !wb_texts_ended (w, 0); c++) T_STATUS (wb_texts_put (w, 0, (unsigned char) *c, NULL), WB_OK);
        T_OK (strcmp (c, "だ") == 0, "ended before %s", c);
        T_STATUS (wb_texts_put (w, 0, -1, NULL), WB_OK);
        T_OK (strcmp (page.text, stream ? "0:こ 0:れ 0:で 0:終わる 0:の 0:は 0:. " : "0:これで終わるのは. ") == 0, "%s",
              page.text);
        wb_texts_destroy (w);
    }
}

/* ---- scores and vectors ---------------------------------------------------------------------------------------- */

static char texts[TEXTS][64];
static double totals[TEXTS];
static float vectors[TEXTS][C];
static int nscored, nvectors, empty;

static wb_status keep_score (void *ctx, const wb_scored_t *r) {
    double sum = 0;
    T_OK (ctx == &model && nscored < TEXTS, "context");
    T_OK (r->text.n == strlen (texts[nscored]) && memcmp (r->text.bytes, texts[nscored], r->text.n) == 0, "its text");
    T_OK (r->text.line == nscored + 1 && strcmp (r->text.source, "test") == 0, "its line");
    T_OK (r->n == (int64_t) r->text.n + 2 && r->ids[0] == EOT && r->ids[r->n - 1] == EOT, "its ids");
    for (int64_t i = 1; i < r->n; i++) {
        T_OK (r->logprob[i] < 0, "token %d of text %d: %g", (int) i, nscored, (double) r->logprob[i]);
        sum += (double) r->logprob[i];
    }
    T_OK (sum == r->total, "total");
    totals[nscored++] = r->total;
    return WB_OK;
}

static wb_status keep_vector (void *ctx, const float *x) {
    T_OK (ctx == &model && nvectors < TEXTS, "context");
    T_OK ((x == NULL) == (texts[nvectors][0] == 0), "text %d has %s vector", nvectors, x == NULL ? "no" : "a");
    if (x != NULL) memcpy (vectors[nvectors], x, sizeof vectors[0]);
    empty += x == NULL;
    nvectors++;
    return WB_OK;
}

/* What comes out does not depend on what runs together. */
static void test_results (void) {
    wb_scorer_t *s;
    wb_vectors_t *v;
    for (int i = 0; i < TEXTS; i++)
        for (int j = 0; j < i * 7 % 41; j++) texts[i][j] = (char) ('a' + (i * 31 + j * 17) % 26);
    T_STATUS (wb_scorer_new (&s, &model, true, keep_score, &model), WB_OK);
    for (int i = 0; i < TEXTS; i++)
        T_STATUS (wb_scorer_put (s, &(wb_text_t){texts[i], strlen (texts[i]), "test", i + 1}), WB_OK);
    T_OK (nscored > 0 && nscored < TEXTS, "some were scored");
    T_STATUS (wb_scorer_run (s), WB_OK);
    T_STATUS (wb_scorer_run (s), WB_OK);
    wb_scorer_destroy (s);
    T_OK (nscored == TEXTS, "%d scores", nscored);
    static double before[TEXTS];
    memcpy (before, totals, sizeof before);
    nscored = 0;
    T_STATUS (wb_scorer_new (&s, &model, true, keep_score, &model), WB_OK);
    for (int i = 0; i < TEXTS; i++) {
        T_STATUS (wb_scorer_put (s, &(wb_text_t){texts[i], strlen (texts[i]), "test", i + 1}), WB_OK);
        T_STATUS (wb_scorer_run (s), WB_OK);
        T_OK (fabs (totals[i] - before[i]) < 1e-4 && (i == 0 || totals[i] != totals[i - 1]), "score %d alone", i);
    }
    wb_scorer_destroy (s);

    wb_log_init (WB_LOG_QUIET, true); /* of texts that are too long */
    T_STATUS (wb_vectors_new (&v, &model, keep_vector, &model), WB_OK);
    for (int i = 0; i < TEXTS; i++)
        T_STATUS (wb_vectors_put (v, &(wb_text_t){texts[i], strlen (texts[i]), "test", i + 1}), WB_OK);
    T_STATUS (wb_vectors_run (v), WB_OK);
    T_OK (nvectors == TEXTS && empty == (TEXTS + 40) / 41, "%d vectors, %d empty texts", nvectors, empty);
    static float all[TEXTS][C];
    memcpy (all, vectors, sizeof all);
    nvectors = 0;
    for (int i = 0; i < TEXTS; i++) {
        T_STATUS (wb_vectors_put (v, &(wb_text_t){texts[i], strlen (texts[i]), "test", i + 1}), WB_OK);
        T_STATUS (wb_vectors_run (v), WB_OK);
    }
    wb_vectors_destroy (v);
    T_NEAR (vectors[0], all[0], (int64_t) TEXTS * C, 1e-5, 1e-5);

    /* Bad numbers, and a text that is dropped. */
    float *b = model.weights + wb_params_find (model.params, "ln_f.bias")->offset, was = *b;
    *b = NAN;
    T_STATUS (wb_scorer_new (&s, &model, true, keep_score, &model), WB_OK);
    T_STATUS (wb_scorer_put (s, &(wb_text_t){"a", 1, "there", 7}), WB_OK);
    T_OK (wb_scorer_run (s) == WB_ENUMERIC && strncmp (wb_error_get ()->text, "there:7: ", 9) == 0, "%s",
          wb_error_get ()->text);
    wb_error_clear ();
    T_STATUS (wb_scorer_put (s, &(wb_text_t){"a", 1, "there", 7}), WB_OK);
    wb_scorer_destroy (s);
    T_STATUS (wb_vectors_new (&v, &model, keep_vector, &model), WB_OK);
    T_STATUS (wb_vectors_put (v, &(wb_text_t){"a", 1, "there", 0}), WB_OK);
    T_STATUS (wb_vectors_run (v), WB_ENUMERIC);
    wb_vectors_destroy (v);
    *b = was;
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static wb_status take_line (void *ctx, const wb_text_t *text) {
    page_t *p = ctx;
    const size_t used = strlen (p->text);
    snprintf (p->text + used, sizeof p->text - used, "%lld=%.*s ", (long long) text->line, (int) text->n, text->bytes);
    return WB_OK;
}

static wb_status take_run (void *ctx) {
    page_t *p = ctx;
    return ++p->calls == p->stop_after ? WB_ESTOP : WB_OK;
}

static void test_lines (void) {
    const char *path = t_tmp ("lines");
    const wb_text_options_t read = {0};
    page_t p = {0};
    T_STATUS (wb_file_write (path, "a\n\nbc\r\nd", 8), WB_OK);
    T_STATUS (wb_lines_each (path, &read, take_line, take_run, &p), WB_OK);
    T_OK (strcmp (p.text, "1=a 2= 3=bc 4=d ") == 0 && p.calls == 1, "%d runs: %s", p.calls, p.text);
    p.stop_after = 2;
    T_STATUS (wb_lines_each (path, &read, take_line, take_run, &p), WB_ESTOP);
    T_STATUS (wb_file_write (path, "", 0), WB_OK);
    T_STATUS (wb_lines_each (path, &read, take_line, take_run, &p), WB_OK);
    T_OK (p.calls == 2, "nothing to run");
    T_STATUS (wb_lines_each (t_tmp ("none"), &read, take_line, take_run, &p), WB_EIO);
}

int main (void) {
    make_model ();
    test_pieces ();
    test_stop ();
    test_results ();
    test_lines ();
    free_model ();
    return T_DONE ();
}
